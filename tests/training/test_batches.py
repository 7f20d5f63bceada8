import torch

from pixelbayes.training.batches import OrderedBatches, ShuffledBatches


def indices(batches):
    return torch.cat(list(batches)).tolist()


def test_an_epoch_has_every_image_once_and_its_last_batch_may_be_smaller():
    batches = ShuffledBatches(10, 4, seed=0)
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert len(batches) == 3
    assert sorted(indices(batches)) == list(range(10))


def test_a_batch_size_beyond_the_number_of_images_is_all_of_them():
    for batches in (ShuffledBatches(10, 10**30, seed=0), OrderedBatches(10, 10**30)):
        assert [len(batch) for batch in batches] == [10]


def test_the_order_is_a_function_of_seed_and_epoch_only():
    first = indices(ShuffledBatches(50, 4, seed=0))
    torch.rand(3)  # changes the global random state
    assert indices(ShuffledBatches(50, 7, seed=0)) == first
    assert indices(ShuffledBatches(50, 4, seed=1)) != first
    assert indices(ShuffledBatches(50, 4, seed=0, step=lambda: 13)) != first  # 13 batches per epoch
    assert first != sorted(first)


def test_iterating_from_the_middle_of_an_epoch_yields_the_rest_of_it():
    whole = list(ShuffledBatches(10, 4, seed=0, step=lambda: 3))
    rest = list(ShuffledBatches(10, 4, seed=0, step=lambda: 5))
    assert [batch.tolist() for batch in rest] == [whole[2].tolist()]


def test_ordered_batches_have_the_images_in_order():
    batches = OrderedBatches(5, 2)
    assert [batch.tolist() for batch in batches] == [[0, 1], [2, 3], [4]]
    assert len(batches) == 3
