"""A report, in words."""

from rich.console import Console
from rich.table import Table

from realtime.verify.report import Report, Stretch


def show(report: Report, console: Console) -> None:
    """Prints the stretches, what else was found, and the verdict."""
    table = Table("stretch", "marked", "false alarm", "session", "model", "identity")
    rows = report.stretches if report.together is None else (*report.stretches, report.together)
    for stretch in rows:
        payload = stretch.payload
        table.add_row(
            "all together" if stretch is report.together else _name(stretch),
            ("mirrored" if stretch.mirrored else "yes") if stretch.marked else "no",
            _chance(stretch.chance),
            payload.session if payload else "unread" if stretch.marked else "",
            payload.model if payload else "",
            stretch.identity or ("not on the shelf" if payload else ""),
        )
    console.print(table)
    for finding in report.findings:
        console.print(f"{finding.about}: {finding.says}", markup=False, highlight=False, soft_wrap=True)
    console.print(verdict(report), markup=False, highlight=False, soft_wrap=True)


def verdict(report: Report) -> str:
    """The one sentence that matters."""
    marked, all_ = sum(stretch.marked for stretch in report.stretches), len(report.stretches)
    if not report.marked:
        return f"{report.target} is not marked as far as can be seen, which does not say that it is genuine"
    if not marked:
        return f"{report.target} is marked: all stretches together show it"
    return f"{report.target} is marked in {marked} of {all_} {'stretches' if all_ > 1 else 'stretch'}"


def _name(stretch: Stretch) -> str:
    return stretch.name or f"{stretch.start:.1f} to {stretch.end:.1f} s"


def _chance(chance: float) -> str:
    """The chance of a false alarm, readably."""
    return f"{chance:.0e}" if chance > 1e-30 else "< 1e-30"
