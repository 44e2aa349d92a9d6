import pytest
from pangeo_hub.choices import BadChoice, Choices, options_from_form
from pangeo_hub.settings import Settings


def test_plain_size_and_built_in_environment_come_first(settings: Settings) -> None:
    choice = Choices(settings).resolve({}, [])
    assert (choice.size.cpus, choice.size.memory_bytes, choice.size.millicores) == (1, 2_000_000_000, 1000)
    assert choice.environment.path == "/srv/env/notebook/pangeo"


def test_a_profile_may_be_chosen(settings: Settings) -> None:
    choice = Choices(settings).resolve({"profile": "large", "environment": "climate"}, [])
    assert choice.size.memory_bytes == 32_000_000_000
    assert choice.environment.path == "/srv/env/notebook/climate"


def test_a_profile_of_a_group_is_for_its_members_only(settings: Settings) -> None:
    choices = Choices(settings)
    assert choices.resolve({"profile": "model"}, ["modellers"]).size.millicores == 500
    with pytest.raises(BadChoice, match="not on offer for you"):
        choices.resolve({"profile": "model"}, ["others"])
    assert "Modellers" not in choices.form([])
    assert "Modellers" in choices.form(["modellers"])


@pytest.mark.parametrize(
    "options",
    [{"profile": "huge"}, {"environment": "../../etc"}, {"mem_limit": "1T"}, {"profile": "large", "cmd": "sh"}],
)
def test_what_is_not_on_offer_is_refused(settings: Settings, options: dict[str, str]) -> None:
    with pytest.raises(BadChoice):
        Choices(settings).resolve(options, [])


def test_nothing_to_choose_is_no_form(settings: Settings) -> None:
    assert Choices(Settings({**settings.raw, "profiles": [], "environments": []})).form([]) == ""


def test_what_was_chosen_when_there_was_a_choice_keeps_nobody_from_starting(settings: Settings) -> None:
    choices = Choices(Settings({**settings.raw, "profiles": [], "environments": []}))
    choice = choices.resolve({"profile": "large", "environment": "climate"}, [])
    assert (choice.size.key, choice.environment.name) == ("default", "pangeo")
    with pytest.raises(BadChoice):
        choices.resolve({"cmd": "sh"}, [])


@pytest.mark.parametrize("value", ["x" * 10_000, ["large"], {"large": 1}, 7])
@pytest.mark.parametrize("key", ["profile", "environment"])
def test_what_is_no_name_is_refused_even_where_nothing_can_be_chosen(
    settings: Settings, key: str, value: object
) -> None:
    for raw in (settings.raw, {**settings.raw, "profiles": [], "environments": []}):
        with pytest.raises(BadChoice):
            Choices(Settings(raw)).resolve({key: value}, [])


def test_the_form_is_escaped_and_keeps_the_last_choice(settings: Settings) -> None:
    text = Choices(settings).form([], {"profile": "large", "environment": "gone"})
    assert "For &lt;big&gt; arrays" in text
    assert 'value="large" checked' in text
    assert 'value="pangeo" checked' in text


def test_only_known_fields_of_the_form_are_taken() -> None:
    assert options_from_form({"profile": ["large"], "_xsrf": ["x"], "environment": [""]}) == {"profile": "large"}
