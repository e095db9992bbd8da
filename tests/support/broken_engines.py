# ruff: noqa: ARG002 (an engine is called with what the interface says)
"""The example of docs/engines.md in many copies, each of which breaks one promise. Imported where the example lies."""

from __future__ import annotations

import numpy as np
from reference_engine import UNIT, ReferenceEngine, ReferenceModel

from daemons.worker.engines.base import NO_WISHES, EngineError, LoadedModel

FAILS: dict[str, set[str]] = {}
"""Name of an engine below → the tests that tell, without their parameters."""


def fails(*tests):
    """Notes which tests of the suite an engine fails."""

    def note(engine):
        FAILS[engine.__name__] = set(tests)
        return engine

    return note


@fails(
    "test_it_is_an_engine_that_is_made_without_arguments",
    "test_an_option_that_it_does_not_declare_is_refused",
    "test_it_has_a_name",
    "test_it_has_a_version",
    "test_its_file_types_are_endings_of_names",
    "test_its_options_are_fields_of_the_load_options",
    "test_its_packages_are_names_of_distributions",
    "test_its_units_have_names_of_units",
)
class NeedsArguments(ReferenceEngine):
    def __init__(self, folder):
        self.folder = folder


class Copy(ReferenceEngine):
    """Loads models of the class `made`."""

    made: type[ReferenceModel] = ReferenceModel

    def load(self, path, unit, options):
        model = super().load(path, unit, options)
        model.__class__ = self.made
        return model


@fails("test_it_has_a_name")
class Nameless(Copy):
    name = ""


@fails("test_it_has_a_version")
class Versionless(Copy):
    def version(self):
        return ""


@fails("test_its_packages_are_names_of_distributions")
class ListsPackages(Copy):
    packages = ["onnx"]  # noqa: RUF012 (that is what is wrong with it)


@fails("test_it_can_be_probed_more_than_once")
class ProbesOnce(Copy):
    is_probed = False

    def probe(self, unit):
        super().probe(unit)
        if self.is_probed:
            raise EngineError("The device is in use.")
        self.is_probed = True


@fails("test_its_units_have_names_of_units")
class OddUnit(Copy):
    units = (UNIT, "just a word")


@fails("test_its_options_are_fields_of_the_load_options")
class OddOption(Copy):
    options = frozenset({"speed"})


@fails("test_its_file_types_are_endings_of_names")
class OddFileType(Copy):
    file_types = (".onnx", "onnx")


@fails("test_one_of_its_packages_is_installed")
class OddPackage(Copy):
    packages = ("no-such-package-anywhere",)


@fails("test_a_unit_that_it_does_not_serve_is_refused")
class AnyUnit(Copy):
    def load(self, path, unit, options):
        return super().load(path, UNIT, options)


@fails("test_a_unit_that_it_does_not_serve_is_refused")
class AnyProbe(Copy):
    def probe(self, unit):
        pass


class Tactless(Copy):
    """Lets out what its libraries raise."""

    def load(self, path, unit, options):
        try:
            return super().load(path, unit, options)
        except EngineError as error:
            raise self.tactless(error, path) from error

    def tactless(self, error, path):
        raise NotImplementedError


_REFUSALS = (
    "test_a_missing_file_is_refused_with_a_sentence",
    "test_a_file_that_is_no_model_is_refused_with_a_sentence",
)


@fails(
    *_REFUSALS,
    "test_a_unit_that_it_does_not_serve_is_refused",
    "test_a_refusal_does_not_keep_the_next_model_from_loading",
    "test_a_file_that_is_no_model_fails_the_job_with_a_sentence",
)
class RaisesAnything(Tactless):
    def tactless(self, error, path):
        return ValueError(str(error))


@fails(*_REFUSALS)
class TellsPaths(Tactless):
    def tactless(self, error, path):
        return EngineError(f"There is something wrong with {path}.")


@fails(
    *_REFUSALS,
    "test_a_unit_that_it_does_not_serve_is_refused",
    "test_a_refusal_does_not_keep_the_next_model_from_loading",
)
class SaysNothing(Tactless):
    def tactless(self, error, path):
        return EngineError("Error")


_JOBS = ("test_a_job_is_complete_with_all_its_figures", "test_checked_outputs_agree")


class Leaky(ReferenceModel):
    def close(self):
        if self._evaluator is None:
            raise RuntimeError("closed already")
        self._evaluator = None


@fails(
    "test_closing_twice_does_no_harm",
    "test_a_model_loads_again_after_it_was_closed",
    "test_what_it_computes_is_right",
)
class ClosesOnce(Copy):
    made = Leaky


def telling(**told):
    """A model whose facts are other ones."""

    class Telling(ReferenceModel):
        def facts(self):
            return super().facts()._replace(**told)

    return Telling


@fails("test_there_is_a_provider", "test_a_job_is_complete_with_all_its_figures")
class NoProvider(Copy):
    made = telling(providers=(), nodes=())


@fails("test_nodes_are_counted_by_provider")
class StrangeNodes(Copy):
    made = telling(nodes=(("Elsewhere", 3),))


@fails("test_threads_are_counted_or_unknown")
class NoThread(Copy):
    made = telling(threads=0)


@fails("test_the_compile_cache_was_empty_filled_or_none")
class OddFacts(Copy):
    made = telling(compile_cache="warm")


@fails("test_the_transfer_is_included_excluded_or_none", *_JOBS)
class OddTransfer(Copy):
    made = telling(transfer="sometimes")


@fails("test_the_share_of_the_units_own_provider_is_a_share_or_unknown", "test_nodes_are_counted_by_provider", *_JOBS)
class NegativeNodes(Copy):
    made = telling(providers=("A", "B"), nodes=(("A", -3), ("B", 1)))


@fails("test_precision_and_notes_are_text")
class MumblingNotes(Copy):
    made = telling(notes=("hm",))


class Fickle(ReferenceModel):
    def facts(self):
        self._asked = self.__dict__.get("_asked", 0) + 1
        return super().facts()._replace(threads=self._asked)


@fails("test_facts_stay_what_they_are")
class FickleFacts(Copy):
    made = Fickle


@fails("test_as_many_threads_as_were_asked_for")
class OtherThreads(Copy):
    options = frozenset({"threads"})
    made = telling(threads=7)


class Remaking(ReferenceModel):
    """Makes other inputs than those that it should."""

    def inputs(self, seed, wishes=NO_WISHES):
        return self.remade(seed, wishes)

    def remade(self, seed, wishes):
        raise NotImplementedError

    def plain(self, seed, wishes=NO_WISHES):
        return super().inputs(seed, wishes)


class NoSeed(Remaking):
    def remade(self, seed, wishes):
        return self.plain(0, wishes)


@fails("test_another_seed_gives_other_bytes", "test_an_onnx_model_gets_the_inputs_that_other_engines_give_it")
class IgnoresSeeds(Copy):
    made = NoSeed


class Dice(Remaking):
    def remade(self, seed, wishes):
        return self.plain(int(np.random.default_rng().integers(2**30)), wishes)


@fails("test_the_same_seed_gives_the_same_bytes", "test_an_onnx_model_gets_the_inputs_that_other_engines_give_it")
class DrawsLots(Copy):
    made = Dice


class OwnWay(Remaking):
    def remade(self, seed, wishes):
        return self.plain(seed + 1, wishes)


@fails("test_an_onnx_model_gets_the_inputs_that_other_engines_give_it")
class OtherInputs(Copy):
    made = OwnWay


class Deaf(Remaking):
    def remade(self, seed, wishes):
        return self.plain(seed)


@fails(
    "test_a_wish_is_met",
    "test_arrays_from_a_file_are_taken",
    "test_a_wish_that_can_not_be_met_is_refused_with_a_sentence",
    "test_a_name_that_no_model_has_is_refused",
)
class IgnoresWishes(Copy):
    made = Deaf


class Shapeless(Remaking):
    def remade(self, seed, wishes):
        return self.plain(seed, wishes)._replace(shapes="some")


@fails("test_shapes_are_told_for_people")
class TellsNoShapes(Copy):
    made = Shapeless


class Zeros(Remaking):
    def remade(self, seed, wishes):
        made = self.plain(seed, wishes)
        values = {name: value._replace(array=np.zeros_like(value.array)) for name, value in made.values.items()}
        return made._replace(feed=self.feed(values), values=values)


@fails(
    "test_floats_are_numbers_and_not_all_zero",
    "test_another_seed_gives_other_bytes",
    "test_an_onnx_model_gets_the_inputs_that_other_engines_give_it",
    "test_a_wish_is_met",
    "test_arrays_from_a_file_are_taken",
)
class FeedsZeros(Copy):
    made = Zeros


class Sloppy(ReferenceModel):
    def run(self, feed):
        return [
            np.asarray(value * 1.01) if np.asarray(value).dtype == np.float32 else value for value in super().run(feed)
        ]


@fails(
    "test_adding_is_right",
    "test_what_it_computes_is_right",
    "test_an_open_dimension_may_have_another_size_in_the_next_run",
    "test_it_can_be_fed_with_the_values_of_another_engine",
    "test_checked_outputs_agree",
)
class WrongResults(Copy):
    made = Sloppy


class OneBuffer(ReferenceModel):
    """Hands out its own buffer, as a view of a runtime's memory is one."""

    _buffers: dict[str, np.ndarray]

    def outputs(self, feed):
        kept = self.__dict__.setdefault("_buffers", {})
        for name, value in super().outputs(feed).items():
            if name in kept and kept[name].shape == value.shape:
                kept[name][...] = value
            else:
                kept[name] = value
        return dict(kept)


@fails("test_the_outputs_of_one_run_are_not_changed_by_the_next")
class SharesOutputs(Copy):
    made = OneBuffer


class Greedy(ReferenceModel):
    """Works in the memory of its inputs."""

    def run(self, feed):
        found = super().run(feed)
        for value in feed.values():
            if value.dtype == np.float32:
                np.multiply(value, np.float32(0.5), out=value)
        return found


@fails(
    "test_a_run_leaves_its_inputs_as_they_were",
    "test_the_same_inputs_give_the_same_outputs",
    "test_a_feed_is_not_changed_by_making_another",
    "test_a_wish_is_met",
    "test_adding_is_right",
    "test_an_onnx_model_gets_the_inputs_that_other_engines_give_it",
    "test_an_open_dimension_may_have_another_size_in_the_next_run",
    "test_arrays_from_a_file_are_taken",
    "test_checked_outputs_agree",
    "test_it_can_be_fed_with_the_values_of_another_engine",
    "test_what_it_computes_is_right",
)
class ChangesInputs(Copy):
    made = Greedy


class Counting(ReferenceModel):
    """Remembers its runs."""

    def run(self, feed):
        self._runs = self.__dict__.get("_runs", 0) + 1
        return [np.asarray(value + self._runs // 3).astype(np.asarray(value).dtype) for value in super().run(feed)]


@fails(
    "test_the_same_inputs_give_the_same_outputs",
    "test_an_open_dimension_may_have_another_size_in_the_next_run",
    "test_checked_outputs_agree",
)
class Remembers(Copy):
    made = Counting


class LastFeed(ReferenceModel):
    """Feeds itself from the last inputs that were made, whatever it is given."""

    def feed(self, values):
        self._last = super().feed(values)
        return self._last

    def run(self, feed):
        return super().run(self._last)


@fails("test_a_feed_is_not_changed_by_making_another")
class OneFeed(Copy):
    made = LastFeed


@fails("test_a_value_that_there_is_not_is_refused")
class TakesAnything(Copy):
    options = frozenset({"precision", "graph_optimization", "execution_mode"})


@fails("test_an_option_that_it_declares_can_be_set")
class DeclaresTooMuch(Copy):
    options = frozenset({"precision"})

    def load(self, path, unit, options):
        if options.precision is not None:
            raise EngineError("There is no precision to set after all.")
        return super().load(path, unit, options)


@fails("test_io_binding_leaves_the_transfer_out_and_the_outputs_as_they_are")
class BindsNothing(Copy):
    options = frozenset({"io_binding"})


class Mute(ReferenceModel):
    outputs = LoadedModel.outputs
    feed_of_others = LoadedModel.feed


@fails()
class KeepsItsOutputs(Copy):
    """An engine may do without handing them out."""

    made = Mute
