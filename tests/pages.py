"""Pages as tests see them: as a document, and in a browser."""

from html.parser import HTMLParser

VOID = {"br", "hr", "img", "input", "link", "meta"}


class Document(HTMLParser):
    """Reads a page, and fails on the first tag that does not close as it should."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


class Tab:
    """A page in a browser; remembers every complaint and every request that leaves the page."""

    def __init__(self, browser, page, folder, width=1280, scheme="light", **options):
        self.complaints, self.requests = [], []
        self.context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, **options)
        self.tab = self.context.new_page()
        page.write(folder / "index.html")
        self.address = (folder / "index.html").as_uri()
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.route("**/*", lambda route: route.continue_() if route.request.url == self.address else route.abort())
        self.tab.goto(self.address)

    def __getattr__(self, name):
        return getattr(self.tab, name)

    def shown(self):
        return self.tab.evaluate(
            "[...document.querySelectorAll('.films img')].filter(i => i.offsetParent).map(i => +i.dataset.epoch)"
        )

    def close(self):
        self.context.close()
        assert self.complaints == []
        assert {url for url in self.requests if not url.startswith("data:")} == {self.address}
