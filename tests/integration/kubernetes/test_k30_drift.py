"""What somebody changed by hand is shown, and put right; what is not ours is left alone."""

import json

from bed import Lab


def steps(lab: Lab) -> dict[str, str]:
    shown = lab.caas.run("plan", str(lab.form), "--json", status=2).stdout
    return {step["id"]: step["action"] for step in json.loads(shown)["steps"] if step["action"] != "none"}


def test_scaling_by_hand_is_shown_and_repaired(lab: Lab) -> None:
    lab.kubectl("scale", "deployment/proxy", "--replicas=2")
    touched = steps(lab)
    assert touched and all(name.startswith("proxy/") for name in touched), touched
    text = lab.plan(status=2).stdout
    assert "replicas" in text, text
    lab.apply()
    (proxy,) = [item for item in lab.get("deployment") if item["metadata"]["name"] == "proxy"]
    assert proxy["spec"]["replicas"] == 1
    lab.plan(status=0)
    done = lab.caas.json("history", lab.name, "--number", "1")[0]["steps"]
    assert {step["reason"] for step in done} == {"drift"}, done


def test_what_was_deleted_by_hand_comes_back(lab: Lab) -> None:
    lab.kubectl("delete", "service", "proxy-api")
    assert any(action == "create" for action in steps(lab).values())
    lab.apply()
    assert "proxy-api" in lab.names("service")
    lab.settled()


def test_a_label_of_somebody_else_is_no_drift(lab: Lab) -> None:
    lab.kubectl("label", "deployment", "hub", "example.org/owner=somebody")
    lab.plan(status=0)


def test_objects_of_others_are_left_alone(lab: Lab) -> None:
    lab.kubectl("create", "configmap", "somebody-elses", "--from-literal=a=b")
    lab.apply()
    assert "somebody-elses" in lab.names("configmap")


def test_what_another_manager_has_is_taken_on_demand_only(lab: Lab) -> None:
    """Said is who has it, and how it is had."""
    words = ["component=elsewhere", "--overwrite", "--field-manager=argocd-controller"]
    lab.kubectl("label", "configmap", "autohttps-pages", *words)

    def component() -> str:
        (pages,) = [item for item in lab.get("configmap") if item["metadata"]["name"] == "autohttps-pages"]
        return pages["metadata"]["labels"]["component"]

    shown, refused = lab.plan(status=1), lab.apply(status=1)
    for said in (shown.stdout + shown.stderr, refused.stdout + refused.stderr):
        assert "argocd-controller" in said and ".metadata.labels.component" in said, said
        assert "--force-conflicts" in said, said
    assert component() == "elsewhere"
    lab.caas.run("plan", str(lab.form), "--force-conflicts", status=2)
    assert component() == "elsewhere"
    lab.caas.run("apply", str(lab.form), "--yes", "--force-conflicts")
    assert component() == "proxy-public"
    lab.plan(status=0)
