"""Former keys and values, so that an older params.yaml or recipe is refused with the name of today, or told what went."""

from typing import Any

KEYS = {
    "squares": "dataset",
    "smooth": "edge_smooth",
    "report.enough_squares": "report.enough_crops",
    "train.guards": "train.diagnostics",
    "train.guards.one_colour_levels": "train.diagnostics.one_color_levels",
    "train.guards.discriminator_right": "train.diagnostics.discriminator_accuracy",
    "train.trial_photos": "train.probe_photos",
    "loss.style_shares": "loss.style_layer_weights",
    "loss.style_grey": "loss.style_grayscale",
    "loss.style_from": "loss.style_images",
    "loss.region_weight": "loss.superpixel_weight",
    "loss.region_px": "loss.superpixel_px",
    "loss.adversarial_grey": "loss.adversarial_grayscale",
    "loss.adversarial_textured_only": "loss.textured_only",
    "loss.edge_grey": "loss.edge_grayscale",
    "loss.grey_weight": "loss.grayscale_weight",
}
"""Former dotted key -> the key of today. A key within a renamed section is listed only where its own name changed too."""

_NO_FILTERS = "removed, as generators no longer filter the photo but learn all of the look: delete it"
REMOVED = dict.fromkeys(("flatten", "pseudo_targets", "model.generator_fills", "model.generator_diffusion_steps"), _NO_FILTERS)
"""Former dotted key -> why it went."""

VALUES = {
    "pretrain.target": dict.fromkeys(("flattened", "pseudo_target"), "photo"),
    "loss.target": dict.fromkeys(("flattened", "pseudo_target"), "recolored"),
    "model.generator": {"genga-s-plain": "genga-s", "genga-m-plain": "genga-m"},
}
"""Key of today -> its former values, each with the value of today."""


def update_names(tree: Any) -> tuple[Any, list[str]]:
    """Replace former names of keys and values in a tree of parameters (a whole params.yaml, a recipe, or anything else).

    Returns:
        A copy of the tree in the names of today, and one message for each name that was replaced or removed, e.g.
        `loss.style_shares: renamed to loss.style_layer_weights`. Where a tree has both names of a key, the new one counts.
    """
    messages: list[str] = []
    return _updated(tree, "", "", messages), messages


def _updated(tree: Any, old_prefix: str, new_prefix: str, messages: list[str]) -> Any:
    if not isinstance(tree, dict):
        former = VALUES.get(new_prefix.removesuffix("."), {})
        if isinstance(tree, str) and tree in former:
            messages.append(f"{old_prefix.removesuffix('.')}: {tree} is {former[tree]} today")
            return former[tree]
        return tree
    updated = dict[Any, Any]()
    for key, value in tree.items():
        old = f"{old_prefix}{key}"
        if old in REMOVED:
            messages.append(f"{old}: {REMOVED[old]}")
            continue
        new = KEYS.get(old, f"{new_prefix}{key}")
        if old in KEYS:
            messages.append(f"{old}: renamed to {new}")
        name = new.rpartition(".")[2] if isinstance(key, str) else key
        if name == key or name not in tree:
            updated[name] = _updated(value, f"{old}.", f"{new}.", messages)
    return updated
