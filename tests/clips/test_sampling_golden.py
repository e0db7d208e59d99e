"""Frame choice against the published code: same clips, same drops, same number of draws."""

import numpy as np

from telltime.clips import sampling


def test_pretraining_clips(golden):
    cases = golden.json("tclr_sampling_pretrain.json")
    assert cases
    for case in cases:
        rng = np.random.RandomState(case["np_seed"])
        start = sampling.pretrain_start(float(case["reported"]), rng)
        clips = None
        if start is not None:
            clips = sampling.pretrain_complete(*sampling.pretrain_frames(start), np.arange(case["decodable"]))
        assert (clips is not None) == case["ok"], case
        if clips is None:
            continue
        glob, local = clips
        assert glob.tolist() == case["sparse"]
        assert local.tolist() == case["dense"]


def test_pretraining_draws_as_many_numbers(golden):
    from telltime.views.tclr import PRETRAIN, draw

    for case in golden.json("tclr_sampling_pretrain.json"):
        rng = np.random.RandomState(case["np_seed"])
        if sampling.pretrain_start(float(case["reported"]), rng) is not None:
            draw(rng, 10, PRETRAIN, 240, 320)
        assert rng.rand() == case["next_uniform"], case


def test_probe_clips(golden):
    from telltime.views.tclr import PROBE, draw

    cases = golden.json("tclr_sampling_eval.json")["train"]
    assert cases
    for case in cases:
        rng = np.random.RandomState(case["np_seed"])
        start = sampling.probe_start(float(case["reported"]), rng)
        frames = None
        if start is not None:
            draw(rng, 2, PROBE, 240, 320, kept=1)
            wanted = sampling.probe_frames(start)
            frames = sampling.complete(wanted[wanted < case["decodable"]])
        assert (None if frames is None else frames.tolist()) == case["frames"], case
        assert rng.rand() == case["next_uniform"], case


def test_test_positions(golden):
    cases = golden.json("tclr_sampling_eval.json")["test"]
    assert cases
    for case in cases:
        wanted = sampling.test_frames(float(case["reported"]), case["num_modes"])[case["mode"]]
        decoded = wanted[wanted < case["decodable"]]
        frames = sampling.complete(decoded)
        assert (None if frames is None else frames.tolist()) == case["frames"], case
        if frames is not None:
            assert decoded.tolist() == case["decoded"]
