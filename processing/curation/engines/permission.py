"""Whether reports may leave the machine: the terms of their data set decide, and what is not known is not allowed."""

from ...data.official.terms import not_allowed, resembles, terms_of


def check_remote(dataset: str | None, permission: str | None) -> str:
    """What the run says about it. ValueError where the terms forbid it, or nobody knows and nobody has allowed it.

    `permission` says who allowed it, for a data set whose terms are not known here; it does not change a no.
    """
    if dataset is None:
        raise ValueError(
            "reports of an unnamed data set are not sent to another machine; name it with --dataset: as terms.yaml "
            "does, or your own name"
        )
    forbids, unknown = not_allowed(dataset, "may_send_to_remote")
    if forbids is not None:
        raise ValueError(
            f"reports of {dataset} must not be sent to another machine: the terms of {forbids} forbid it "
            f"({terms_of(forbids).terms}). Use --engine rules, --engine local, or a server on this machine"
        )
    alike = resembles(dataset, "may_send_to_remote")
    if alike is not None:
        raise ValueError(
            f"{dataset!r} looks like {alike}, whose reports must not be sent to another machine "
            f"({terms_of(alike).terms}). Use --engine rules, --engine local, or a server on this machine; if it is "
            "another data set, give it a name that is not like that one"
        )
    if unknown and not (permission or "").strip():
        raise ValueError(
            f"nobody here knows whether reports of {', '.join(unknown)} may be sent to another machine. Ask their "
            'owner, and say who allowed it: --permission "who, when"'
        )
    return f"the terms of {dataset} allow it" if not unknown else f"allowed by {(permission or '').strip()}"
