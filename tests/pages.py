"""Pages in tests: parsed as HTML, and opened in a browser."""

from html.parser import HTMLParser

VOID = {"br", "hr", "img", "input", "link", "meta"}


class Document(HTMLParser):
    """Parses a page. Fails on the first tag that is not closed correctly."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(html)
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
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]


class Tab:
    """A page in a browser. Records console messages and requests, and blocks requests to other addresses."""

    def __init__(self, browser, page, folder, width=1280, scheme="light", **options):
        self.messages, self.requests = [], []
        self.context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, **options)
        self.tab = self.context.new_page()
        page.write(folder / "index.html")
        self.address = (folder / "index.html").as_uri()
        self.tab.on("console", lambda message: self.messages.append(message.text))
        self.tab.on("pageerror", lambda error: self.messages.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.route("**/*", lambda route: route.continue_() if route.request.url == self.address else route.abort())
        self.tab.goto(self.address)

    def __getattr__(self, name):
        return getattr(self.tab, name)

    def overflow(self):
        """By how many pixels the page is wider than the window."""
        return self.tab.evaluate("document.documentElement.scrollWidth - innerWidth")

    def visible_epochs(self):
        """The epoch of the visible picture of each timeline."""
        return self.tab.evaluate(
            "[...document.querySelectorAll('.timelines img')].filter(i => i.offsetParent).map(i => +i.dataset.epoch)"
        )

    def close(self):
        """Closes the tab. Fails if there was a message, or a request to another address."""
        self.context.close()
        assert self.messages == []
        assert {url for url in self.requests if not url.startswith("data:")} == {self.address}
