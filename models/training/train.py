"""Quantization-aware training of one configuration, resumable after any interruption.

A run is a folder: ``config.json`` and ``data.sha256`` (what is trained, on what), ``log.jsonl`` (one line per
epoch), ``<phase>.weights.h5`` (best on the validation split), ``checkpoint/`` (to resume) and
``tensorboard/``. The phases are "float" (warm-up, optional) and "quantized"; a network that is not quantized has
the first only.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bitswath.basics.files import write_atomic
from bitswath.codecs.base import Codec
from bitswath.errors import ConfigError, TrainingError
from bitswath.models.nets.architectures import BATCHNORM_MOMENTUM, InputSpec, build_model
from bitswath.models.nets.config import TrainConfig
from bitswath.models.nets.graph import plain_layer
from bitswath.models.nets.quantizers import keras, tf
from bitswath.models.training.augment import augment

__all__ = [
    "Samples",
    "Teacher",
    "TrainingRun",
    "evaluate",
    "float_variables",
    "keras_teacher",
    "make_step",
    "phase_weights",
    "predict",
    "save_weights",
]

RECALIBRATION_BATCHES = 40

Encode = Callable[[NDArray[Any]], NDArray[np.uint8]]


@dataclass(frozen=True)
class Samples:
    """Raw patches uint8 or uint16 (N, H, W, C) with their labels int64 (N,).

    `originals`: the same patches before a lossy file that the student sees them through, None where there was none.
    """

    patches: NDArray[Any]
    labels: NDArray[np.int64]
    originals: NDArray[Any] | None = None


@dataclass(frozen=True)
class Teacher:
    """A trained network to learn from. `logits`: float32 (N, classes) of codes (N, H, W, C) of its own `codec`."""

    codec: Codec
    logits: Callable[[NDArray[np.uint8]], NDArray[np.float32]]

    def of(self, batch: Samples, codes: NDArray[np.uint8], codec: Codec) -> NDArray[np.float32]:
        """Logits of what its codec makes of the original patches; `codes`: what the student's `codec` made of them."""
        if batch.originals is not None:
            codes = self.codec.encode(batch.originals)
        elif self.codec != codec:
            codes = self.codec.encode(batch.patches)
        return self.logits(codes)


@dataclass
class TrainingRun:
    """Trains `config` on raw patches in `folder`: the student on the codes of `codec`, see `Teacher` for the teacher.

    `start`: a network of the same layers, float or quantized, whose weights the first phase starts from.
    `report(phase, epoch, metrics)` is called after every epoch, `progress(phase, done, total)` after
    every step.
    """

    config: TrainConfig
    spec: InputSpec
    classes: int
    codec: Codec
    folder: Path
    teacher: Teacher | None = None
    start: keras.Model | None = None
    report: Callable[[str, int, dict[str, float]], None] = lambda phase, epoch, metrics: None
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None
    _started: float = field(default_factory=time.monotonic, repr=False)

    def fit(self, train: Samples, val: Samples) -> keras.Model:
        """Train all phases, resuming what is there; returns the best model of the last one in float32."""
        self.build("quantized")  # refuses a wrong configuration before it claims the folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._claim_folder(train)
        keras.utils.set_random_seed(self.config.schedule.seed)
        if self.config.widths is None:
            return self._recalibrated(self._phase("float", self.teacher, train, val), train, val)
        if self.config.schedule.float_epochs:
            warm = self._phase("float", None, train, val)
            distill = self.config.distill
            if distill and distill.teacher == "float":
                self.teacher = keras_teacher(warm, self.codec)
        model = self._phase("quantized", self.teacher, train, val)
        return self._recalibrated(model, train, val)

    def _recalibrated(self, model: keras.Model, train: Samples, val: Samples) -> keras.Model:
        """Batch statistics averaged over many float32 batches, where that does not cost validation accuracy.

        The running averages of a short schedule forget fast and were taken in the schedule's precision.
        """
        before, kept = evaluate(model, self.codec.encode, val), model.get_weights()
        norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        batches = self._batches(train, np.random.default_rng((self.config.schedule.seed, 0)))
        for seen, batch in enumerate(islice(batches, RECALIBRATION_BATCHES)):
            for norm in norms:
                norm.momentum = seen / (seen + 1)
            model(tf.cast(self.codec.encode(batch.patches), tf.float32), training=True)
        for norm in norms:
            norm.momentum = BATCHNORM_MOMENTUM
        if evaluate(model, self.codec.encode, val) < before:
            model.set_weights(kept)
        return model

    def _claim_folder(self, train: Samples) -> None:
        """Write what is trained, or refuse a folder that holds the run of something else."""
        data = hashlib.sha256(np.ascontiguousarray(train.patches).data)
        for array in (train.labels, train.originals):
            if array is not None:
                data.update(np.ascontiguousarray(array).data)
        texts = {"config.json": self.config.model_dump_json(indent=2) + "\n", "data.sha256": data.hexdigest() + "\n"}
        for name, text in texts.items():
            path = self.folder / name
            if path.exists() and not self._same(path.read_text(), text):
                raise ConfigError(
                    f"{self.folder}: holds a run of another configuration or other data ({name} differs);"
                    " choose another folder"
                )
            write_atomic(path, text.encode())

    def _same(self, there: str, text: str) -> bool:
        """Whether a file of the folder says what this run's would, written by an older release perhaps."""
        try:
            return there == text or TrainConfig.model_validate_json(there) == self.config
        except ValidationError:
            return False

    def build(self, phase: str, *, training: bool = False) -> keras.Model:
        """The network of a phase; in the schedule's precision only for training."""
        widths = self.config.widths if phase == "quantized" else None
        precision = self.config.schedule.precision if training else "float32"
        return build_model(self.config.architecture, self.spec, self.classes, widths, precision)

    def load_best(self, phase: str = "quantized") -> keras.Model:
        model = self.build(phase)
        model.load_weights(phase_weights(self.folder, phase))
        return model

    def _phase(self, phase: str, teacher: Teacher | None, train: Samples, val: Samples) -> keras.Model:
        schedule = self.config.schedule
        warmup = phase == "float" and self.config.widths is not None
        epochs = schedule.float_epochs if warmup else schedule.epochs
        steps = -(-len(train.labels) // schedule.batch)
        model = self.build(phase, training=True)
        second = phase == "quantized" and schedule.float_epochs
        if (warm := self.load_best("float") if second else self.start) is not None:
            _copy_weights(warm, model)
        optimizer = keras.optimizers.legacy.Adam(_cosine(schedule.learning_rate, epochs, schedule.warmup_epochs, steps))
        epoch, best, best_epoch = (tf.Variable(start, dtype=kind) for start, kind in _COUNTERS)
        checkpoint = tf.train.Checkpoint(
            model=model, optimizer=optimizer, epoch=epoch, best=best, best_epoch=best_epoch
        )
        manager = tf.train.CheckpointManager(checkpoint, str(self.folder / "checkpoint" / phase), max_to_keep=1)
        if manager.latest_checkpoint:
            checkpoint.restore(manager.latest_checkpoint)
        step = make_step(model, optimizer, self.config)
        writer = tf.summary.create_file_writer(str(self.folder / "tensorboard" / phase))
        while int(epoch) < epochs and not self._stalled(int(epoch), int(best_epoch)):
            metrics = self._epoch(phase, int(epoch), steps, step, train, teacher)
            if not all(np.isfinite(values).all() for values in (metrics["loss"], *model.get_weights())):
                where = f"{phase} epoch {int(epoch) + 1}"
                raise TrainingError(
                    f"{self.folder}: weights are no numbers after {where}; lower schedule.learning_rate"
                )
            metrics["val_accuracy"] = evaluate(model, self.codec.encode, val)
            metrics["elapsed_s"] = time.monotonic() - self._started
            epoch.assign_add(1)
            if metrics["val_accuracy"] > float(best):
                best.assign(metrics["val_accuracy"])
                best_epoch.assign(epoch)
                save_weights(model, phase_weights(self.folder, phase))
            manager.save()
            self._log(phase, int(epoch), metrics, writer)
        return self.load_best(phase)

    def _stalled(self, epoch: int, best_epoch: int) -> bool:
        patience = self.config.schedule.early_stop
        return patience is not None and epoch - best_epoch >= patience

    def _epoch(
        self, phase: str, epoch: int, steps: int, step: Any, train: Samples, teacher: Teacher | None
    ) -> dict[str, float]:
        rng = np.random.default_rng((self.config.schedule.seed, epoch, phase == "float"))
        losses = []
        for done, batch in enumerate(self._batches(train, rng), 1):
            codes = self.codec.encode(batch.patches)
            taught = tf.constant(teacher.of(batch, codes, self.codec)) if teacher else None
            losses.append(step(tf.constant(codes), tf.constant(batch.labels), taught))
            self.progress(phase, done, steps)
        return {"loss": float(np.mean([loss.numpy() for loss in losses]))}

    def _batches(self, train: Samples, rng: np.random.Generator) -> Iterator[Samples]:
        """One epoch in random order, augmented, a patch and its original alike."""
        size = self.config.schedule.batch
        order = rng.permutation(len(train.labels))
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            if len(chosen) < size:  # one batch shape: XLA compiles the quantizers once
                chosen = np.resize(np.concatenate([chosen, order]), size)
            views = [array[chosen] for array in (train.patches, train.originals) if array is not None]
            changed = np.split(augment(np.concatenate(views, -1), self.config.augment, rng), len(views), -1)
            yield Samples(changed[0], train.labels[chosen], changed[1] if len(changed) > 1 else None)

    def _log(self, phase: str, epoch: int, metrics: dict[str, float], writer: Any) -> None:
        line = {"phase": phase, "epoch": epoch} | {name: round(value, 5) for name, value in metrics.items()}
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        with writer.as_default():
            for name, value in metrics.items():
                tf.summary.scalar(name, value, step=epoch)
        self.report(phase, epoch, metrics)


_COUNTERS: tuple[tuple[Any, Any], ...] = ((0, tf.int64), (-1.0, tf.float64), (0, tf.int64))
"""Epochs done, best validation accuracy (below any, so that the first epoch is kept), and its epoch."""


def _cosine(peak: float, epochs: int, warmup_epochs: float, steps: int) -> Any:
    warmup = round(min(warmup_epochs, epochs / 2) * steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else peak,
        max(epochs * steps - warmup, 1),
        alpha=0.01,
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
    )


def make_step(model: keras.Model, optimizer: Any, config: TrainConfig) -> Any:
    """``step(codes, labels, taught)``: one step on a batch of codes (N, H, W, C), labels int64 (N,) and a teacher's
    logits (N, classes) or None; its loss. `optimizer`: its rate is a schedule."""
    schedule, distill = config.schedule, config.distill
    hard = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=schedule.label_smoothing)
    classes = model.output_shape[-1]
    kernels = [
        variable for variable in model.trainable_variables if "kernel" in variable.name and "scale" not in variable.name
    ]

    @tf.function
    def step(codes: tf.Tensor, labels: tf.Tensor, taught: tf.Tensor | None) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = tf.cast(model(tf.cast(codes, tf.float32), training=True), tf.float32)
            loss = hard(tf.one_hot(labels, classes), logits)
            if taught is not None and distill is not None:
                soft = _soft_loss(taught, logits, distill.temperature)
                loss = (1 - distill.weight) * loss + distill.weight * soft
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        if schedule.weight_decay:  # decoupled, as in Loshchilov and Hutter, ICLR 2019
            rate = optimizer.lr(optimizer.iterations) * schedule.weight_decay
            for kernel in kernels:
                kernel.assign_sub(rate * kernel)
        return loss

    return step


def _soft_loss(teacher: tf.Tensor, student: tf.Tensor, temperature: float) -> tf.Tensor:
    """Cross-entropy of softened logits: Hinton et al., "Distilling the Knowledge", 2015."""
    target = tf.nn.softmax(teacher / temperature)
    losses = tf.nn.softmax_cross_entropy_with_logits(target, student / temperature)
    return tf.reduce_mean(losses) * temperature**2


def keras_teacher(model: keras.Model, codec: Codec) -> Teacher:
    """A network in Keras, trained on the codes of `codec`."""

    @tf.function
    def logits(codes: tf.Tensor) -> tf.Tensor:
        return tf.cast(model(tf.cast(codes, tf.float32), training=False), tf.float32)

    return Teacher(codec, lambda codes: logits(tf.constant(codes)).numpy())


def predict(model: keras.Model, encode: Encode, patches: NDArray[Any], batch: int = 300) -> NDArray[np.int64]:
    """Labels (N,) of raw patches (N, H, W, C): where the largest logit is."""
    labels = np.empty(len(patches), np.int64)
    for start in range(0, len(patches), batch):
        part = slice(start, start + batch)
        labels[part] = model.predict_on_batch(encode(patches[part]).astype(np.float32)).argmax(axis=1)
    return labels


def evaluate(model: keras.Model, encode: Encode, samples: Samples) -> float:
    """Share of patches whose largest logit is at the label."""
    correct = int((predict(model, encode, samples.patches) == samples.labels).sum())
    return correct / max(len(samples.labels), 1)


def float_variables(model: keras.Model) -> dict[str, list[tf.Variable]]:
    """What a quantized layer and its float twin both have, by the layer's plain name: kernel first, then the rest.

    Quantization takes a layer's kernel out of its weights; the wrapper keeps it.
    """
    found = {}
    for layer in model.layers:
        plain = plain_layer(layer)
        kernels = [kernel for kernel, *_ in getattr(layer, "_weight_vars", [])]
        found[plain.name] = kernels + plain.weights
    return {name: variables for name, variables in found.items() if variables}


def _copy_weights(source: keras.Model, target: keras.Model) -> None:
    """All of them where both networks have the same input and output, else those of the first layers, as many as have
    the same names and shapes. Raises `ConfigError` for the first layer that should have and has not."""
    ready, wanted = float_variables(source), float_variables(target)
    whole = (source.input_shape, source.output_shape) == (target.input_shape, target.output_shape)
    taken: set[str] = set()
    for name, variables in wanted.items():
        shapes, expected = ([tuple(v.shape) for v in found] for found in (ready.get(name, []), variables))
        if shapes != expected:
            if taken and not whole:
                break
            raise ConfigError(f"weights to start from: layer {name} has {shapes or 'nothing'}, expected {expected}")
        for variable, value in zip(variables, ready[name]):
            variable.assign(value)
        taken.add(name)
    _copy_scales(source, target, wanted.keys() - taken)


def _copy_scales(source: keras.Model, target: keras.Model, new: Set[str]) -> None:
    """Learned scales too, of what both quantize alike; the others', and those of `new` layers, are found anew."""
    ready = {name: (quantizer, variables) for name, quantizer, variables in _quantized(source)}
    for name, quantizer, variables in _quantized(target):
        if name in ready and ready[name][0] == quantizer and name.split()[0] not in new:
            for what, variable in variables.items():
                variable.assign(ready[name][1][what])


def _quantized(model: keras.Model) -> Iterator[tuple[str, Any, dict[str, tf.Variable]]]:
    """What has a quantizer: the layer's plain name and whether its kernel or its output, quantizer, variables."""
    for layer in model.layers:
        name = plain_layer(layer).name
        for _, quantizer, variables in getattr(layer, "_weight_vars", []):
            yield f"{name} kernel", quantizer, variables
        for quantizer in getattr(layer, "_output_quantizers", []):
            yield f"{name} output", quantizer, layer._output_quantizer_vars


def phase_weights(folder: Path, phase: str) -> Path:
    """Where a run keeps the best weights of a phase."""
    return folder / f"{phase}.weights.h5"


def save_weights(model: keras.Model, path: Path) -> None:
    """Write weights so that `path`, which ends in ``.weights.h5``, is never half-written."""
    partial = path.with_name(f".partial.{path.name}")
    model.save_weights(partial)
    partial.replace(path)
