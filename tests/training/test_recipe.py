import subprocess
import sys

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.training import recipe
from telltime.training.build import checked, resolve
from telltime.training.errors import RecipeError

PAPER = {
    "method.init_args.backbone.class_path": "telltime.backbones.r3d.R3D18",
    "method.init_args.reader.init_args.size": 112,
    "method.init_args.reader.init_args.order": "bgr",
    "method.init_args.reader.init_args.crop": "reference",
    "method.init_args.reader.init_args.short": "drop",
    "method.init_args.temperature": 0.1,
    "method.init_args.reduction": "paper",
    "optimiser.class_path": "torch.optim.Adam",
    "optimiser.init_args.lr": 1e-3,
    "optimiser.init_args.weight_decay": 1e-9,
    "schedule.init_args.warmup": [100, 20, 10, 2, 1],
    "schedule.init_args.patience": 9,
    "batch_size": 40,
    "epochs": 400,
    "clip_norm": None,
    "accumulate": 1,
}


@pytest.fixture
def mine(tmp_path):
    """A recipe file of the user's own."""
    path = tmp_path / "mine.yaml"
    path.write_text(recipe.find("tclr-small").read_text())
    return path


def offline(name):
    """What makes a recipe build without a network, and a large one at a small size."""
    if "vit_" not in recipe.shipped()[name].read_text():
        return []
    if name.startswith("timet"):
        return ["method.encoder.pretrained=false"]
    small = {"image": '""', "dim": 24, "depth": 1, "heads": 2}
    return [f"method.backbone.{key}={value}" for key, value in small.items()]


@pytest.mark.parametrize("name", sorted(recipe.shipped()))
def test_shipped_recipes_build(name):
    made = resolve(name, offline(name)).build()
    method = name.partition("-")[0]
    assert type(made.method).__name__.lower() == method
    assert made.description
    assert method != "tclr" or made.method.reader.views == 10
    optimiser = made.optimiser(made.method.parameters())
    assert isinstance(optimiser, torch.optim.Optimizer)
    assert made.schedule.best is None


def test_the_published_values():
    leaves = dict(recipe._leaves(resolve("tclr-ucf101").tree))
    assert {key: leaves[key] for key in PAPER} == PAPER


def test_kinetics_differs_from_ucf101_where_it_says():
    trees = [resolve(f"tclr-{name}").tree for name in ("ucf101", "kinetics400", "r2plus1d-kinetics400")]
    changed = [difference.split(" ")[0] for difference in recipe.differences(trees[0], trees[1])]
    assert set(changed) <= {"description", "data.name", "epochs", "workers", "log_every", "save_every", "keep_every"}
    changed = [difference.split(" ")[0] for difference in recipe.differences(trees[1], trees[2])]
    assert changed == ["method.init_args.backbone.class_path", "description"]


@pytest.mark.parametrize("network", ["timesformer", "motionformer", "xvit"])
def test_rows_of_time_differ_in_the_three_tasks_alone(network):
    trees = [resolve(name).tree for name in (f"time-{network}-ssv2", f"time-{network}-ssv2-baseline")]
    changed = {difference.split(" ")[0] for difference in recipe.differences(*trees)}
    assert changed == {"description", *(f"method.init_args.{task}" for task in ("order", "debias", "flow"))}
    leaves = dict(recipe._leaves(trees[0]))
    assert leaves["optimiser.init_args.amsgrad"]
    assert not leaves["decay_norms"]
    assert [leaves[key] for key in ("optimiser.init_args.lr", "batch_size", "epochs")] == [1e-4, 64, 35]
    other = resolve("time-timesformer-ssv2").tree
    changed = {difference.split(" ")[0].rpartition(".")[0] for difference in recipe.differences(trees[0], other)}
    assert changed <= {"", "method.init_args.backbone", "method.init_args.backbone.init_args"}


@pytest.mark.parametrize("name", sorted(recipe.shipped()))
def test_the_resolved_tree_is_a_recipe_that_resolves_to_itself(name, tmp_path):
    resolved = resolve(name)
    resolved.write(tmp_path / "recipe.yaml")
    assert yaml.safe_load((tmp_path / "recipe.yaml").read_text()) == resolved.tree
    assert resolve(str(tmp_path / "recipe.yaml")).tree == resolved.tree


def test_initial_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    first = resolve("tclr-small").build().method.state_dict()
    torch.manual_seed(2)
    again = resolve("tclr-small").build().method.state_dict()
    other = resolve("tclr-small", ["seed=1"]).build().method.state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["head.fc1.weight"], other["head.fc1.weight"])


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("batchsize=3", "unknown key 'batchsize'; did you mean 'batch_size'?"),
        ("lr=3", "unknown key 'lr'; did you mean 'optimiser.init_args.lr'?"),
        ("data.fodl=3", "unknown key 'data.fodl'; did you mean 'fold'?"),
        ("bad_media.mod=skip", "unknown key 'bad_media.mod'; did you mean 'mode'?"),
        ("method.temprature=1", "unknown key 'method.init_args.temprature'; did you mean 'temperature'?"),
        ("method.backbone.widht=8", "'method.init_args.backbone.init_args.widht'; did you mean 'width'?"),
        ("method.weights.ic_globl=0", "weights.ic_globl'; did you mean 'ic_global'?"),
        ("zzz=1", "unknown key 'zzz'; known here are method, optimiser, schedule, description"),
        ("batch_size=x", "batch_size: Expected a int"),
        ("batch_size=0", "batch_size must be above 0"),
        ("workers=-1", "workers must be at least 0"),
        ("bad_media.max_share=2", "bad_media.max_share is a share"),
        ("bad_media.mode=ignore", "bad_media.mode: Expected a value of 'raise', 'skip'"),
        ("precision=fp8", "precision: Expected a value of 'auto', 'bf16', 'fp32'"),
        ("method.temperature=hot", "method.temperature: Expected a float"),
        ("method.temperature=-1", "temperature must be above 0"),
        ("method.reader.order=grb", "method.reader.order: Expected a value of 'bgr', 'rgb'. Got value: grb"),
        ("method.backbone.class_path=telltime.backbones.r3d.R3D81", "did you mean telltime.backbones.r3d.R3D18?"),
        ("schedule.class_path=telltime.schedules.Cosine", "there is no class telltime.schedules.Cosine"),
        ("method.kind=TCLR", "unknown key 'method.init_args.kind'"),
        ("schedule=null", "the key 'schedule' is missing"),
        ("seed.part=1", "'seed' holds a plain value"),
        ("seed", "expected key.path=value"),
        (".=3", "expected key.path=value"),
        ("seed=[1", "the value is no valid YAML"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(assignment, told, mine):
    mine.write_text(mine.read_text() + "seed: 0\n")
    with pytest.raises(RecipeError) as error:
        resolve(str(mine), [assignment]).build()
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert "Namespace" not in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    "assignment",
    [
        "method.class_path=os.system",
        "method.class_path=telltimes.Evil",
        "method.backbone.class_path=subprocess.Popen",
        "method.backbone=subprocess.Popen",
        "method.reader=os.system",
        "optimiser=torch.optim.Adam",
        "optimiser.class_path=torch.load",
        "optimiser.class_path=torch.hub.load",
        "optimiser.class_path=telltime.media.files.os",
        "schedule=made_up_module.Thing",
        "method.class_path=[1]",
    ],
)
def test_nothing_from_elsewhere_is_imported_or_made(assignment, tmp_path, monkeypatch):
    (tmp_path / "made_up_module.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RecipeError):
        resolve("tclr-small", [assignment]).build()
    assert not (tmp_path / "ran").exists()
    assert "made_up_module" not in sys.modules


def test_unknown_recipes_name_the_nearest(tmp_path):
    with pytest.raises(RecipeError, match=r"no recipe 'tclr-ufc101'; did you mean 'tclr-ucf101'\?"):
        resolve("tclr-ufc101")
    with pytest.raises(RecipeError, match=r"no recipe file .*nowhere\.yaml; the shipped recipes are"):
        resolve(str(tmp_path / "nowhere.yaml"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no keys"),
        ("- 1\n", "holds no keys"),
        ("a: [", "no valid YAML"),
        ("seed: 1\nseed: 2\n", "the key 'seed' comes twice"),
        ("!!python/object/apply:os.system ['true']", "no valid YAML"),
        ("seed: 1\n", "the key 'method' is missing"),
        ("method: TCLR\n", "'method' names a class: give class_path and init_args below it"),
    ],
)
def test_files_that_are_no_recipe(tmp_path, text, told):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=told):
        resolve(str(path))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"mine.yaml (is no valid YAML|cannot be read)"):
        resolve(str(path))


def test_overrides_reach_arguments_with_and_without_init_args():
    for key in ("optimiser.init_args.lr", "optimiser.lr"):
        assert resolve("tclr-small", [f"{key}=5e-4"]).tree["optimiser"]["init_args"]["lr"] == 5e-4
    tree = resolve("tclr-small", ["schedule={class_path: telltime.training.schedules.Constant}", "clip_norm=null"]).tree
    assert tree["schedule"] == {
        "class_path": "telltime.training.schedules.Constant",
        "init_args": {"warmup": 0.0, "per": "step"},
    }
    assert tree["clip_norm"] is None


def test_values_of_the_command_line_come_last_and_none_is_not_one():
    tree = resolve("tclr-small", ["seed=3", "workers=1"], {"seed": 4, "workers": None, "data.root": "a b"}).tree
    assert (tree["seed"], tree["workers"], tree["data"]["root"]) == (4, 1, "a b")


def test_differences_are_named_with_both_values():
    old = resolve("tclr-small").tree
    new = resolve("tclr-small", ["optimiser.lr=1", "data.root=x", "schedule.floor=0.5"]).tree
    found = recipe.differences(old, new, recipe.FREE_ON_RESUME)
    assert found == ["optimiser.init_args.lr (0.002 -> 1.0)", "schedule.init_args.floor (0.0 -> 0.5)"]


@given(
    st.dictionaries(st.sampled_from(["seed", "epochs", "batch_size", "log_every"]), st.integers(1, 10**6), min_size=1)
)
@settings(max_examples=15, deadline=None)
def test_what_is_set_is_what_is_resolved(values):
    tree = resolve("tclr-small", [f"{key}={value}" for key, value in values.items()]).tree
    assert {key: tree[key] for key in values} == values


def test_a_recipe_is_found_wrong_before_torch_is_imported():
    code = (
        "import sys; from telltime.training.recipe import draft\n"
        "try: draft('tclr-small', ['batchsize=3'])\n"
        "except Exception as error: print(type(error).__name__, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["RecipeError", "False"]


def test_checked_takes_a_tree_made_in_python():
    tree = recipe.read(recipe.find("tclr-small"))
    tree["epochs"] = 2
    assert checked("mine", tree).build().epochs == 2
