"""The summary of a soak for people."""

from tests.soak.ledger import Json


def markdown(summary: Json) -> str:
    """All numbers, the recoveries as a table, and what was broken."""
    ends = ", ".join(f"{count} {name}" for name, count in summary["jobs"].items())
    lines = [
        f"`make soak MINUTES={summary['minutes']:g} SEED={summary['seed']}`, {summary['seconds']} s in all:",
        "",
        f"- {summary['accepted']} jobs accepted: {ends}",
        f"- storm: {summary['storm']['jobs']} jobs, {summary['storm']['troubles']} troubles; "
        f"calm: {summary['calm']['jobs']} jobs, {summary['calm']['troubles']} troubles",
        f"- resident MB in the calm, first and last fifth: {summary['memory_mb']}",
        f"- mutated files: {summary['files']}; peak MB meanwhile: {summary['peak_mb']}",
        f"- requests from the contract: {summary['requests']}",
        f"- answers: {summary['answers']}",
        "",
        "| trouble | attempts | its job starts again, s | next image done, s | /livez silent, s |",
        "|---|---|---|---|---|",
    ]
    for each in summary["recoveries"]:
        restart = each["restart_seconds"]
        shown = "goes on" if restart is None else f"{restart:.1f}"
        lines.append(
            f"| {each['trouble']} | {each['attempts']} | {shown} | {each['next_seconds']:.1f} | "
            f"{each['silence_seconds']:.1f} |"
        )
    violations = summary["violations"]
    lines += ["", f"{len(violations)} broken promises", *(f"- {each}" for each in violations)]
    return "\n".join(lines) + "\n"
