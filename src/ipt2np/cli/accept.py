"""``ipt2np accept``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ipt2np.cli.errors import reported_errors
from ipt2np.cli.output import print_text

if TYPE_CHECKING:
    from ipt2np.reporting.acceptable import Acceptable
    from ipt2np.review.signoff import SignOff


def accept(
    report: Annotated[
        str,
        typer.Argument(
            metavar="REPORT.json",
            help="A JSON report of convert, verify, diff or lint (--report); - reads standard input.",
        ),
    ],
    digest: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DIGEST…]",
            help="What is accepted: digests of differences and findings, or their first digits. Without any: list what there is.",
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why the difference may stay.")] = None,
    author: Annotated[
        str | None,
        typer.Option(metavar="WHO", envvar="IPT2NP_AUTHOR", help="Who answers for it: a name or an address."),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="DAY",
            help="The last day on which it counts, such as 2027-01-31, or in so many days: 90d (default: no end).",
        ),
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Accept every difference, and every error and warning that is about none, unless the report or FILE has it accepted.",
        ),
    ] = False,
    output: Annotated[
        str,
        typer.Option(
            "-o", "--output", metavar="FILE", help="The file of entries; those of other digests stay."
        ),
    ] = "accepted.yaml",
) -> None:
    """Sign off differences and findings of a report, so that --accept lets them pass.

    An entry holds the digest, what it is in words, the reason, the author and the last day on which it counts. A difference
    that changes has another digest: it counts again until somebody accepts it anew.

    Exit status: 0 done; 2 bad input or usage, nothing written; 3 internal error.
    """
    with reported_errors():
        import datetime
        from dataclasses import replace
        from pathlib import Path

        from ipt2np.cli.arguments import day_of
        from ipt2np.errors import UsageError
        from ipt2np.files import read_input, write_all
        from ipt2np.reporting.acceptable import acceptable, chosen
        from ipt2np.review.signoff import SignOffs, parse_signoffs, shortened, signed, written
        from ipt2np.text import printable

        found = acceptable(*read_input(report))
        if not digest and not every:
            if reason or author or expires:
                raise UsageError("say what is accepted: digests of the report, or --all")
            print_text(_listed(found))
            raise typer.Exit(0)
        if not (reason or "").strip() or not (author or "").strip():
            raise UsageError(
                "--reason and --author: an entry says why the difference may stay, and who answers for it"
            )
        today = datetime.datetime.now(datetime.UTC).date()
        last = None if expires is None else day_of("--expires", expires, today)
        if last is not None and last < today:
            raise UsageError(f"--expires {expires}: that day has passed, so the entry would not count")
        wanted = (
            [each for each in found if each.counts and not each.accepted]
            if every
            else chosen(found, digest or [])
        )
        if output == "-":
            raise UsageError("-o -: entries are kept in a file, beside those that it has already")
        known = parse_signoffs(*read_input(output)) if Path(output).exists() else ()
        if every:
            standing = SignOffs.of(known, today).valid
            wanted = [each for each in wanted if each.digest not in standing]
        digests = {each.digest for each in wanted}
        entries: list[SignOff] = [each for each in known if each.digest not in digests]
        entered = signed(str(reason), str(author), last)
        entries += [replace(entered, digest=each.digest, what=shortened(each.what)) for each in wanted]
        write_all({output: written(entries)})
        count = len(wanted)
        until = f" until {last}" if last is not None else ""
        print_text(
            f"{printable(output)}: {count} {'entry' if count == 1 else 'entries'} by {printable(entered.author)}{until}\n"
        )


def _listed(found: tuple[Acceptable, ...]) -> str:
    from ipt2np.text import printable

    if not found:
        return "the report has no differences and no findings\n"
    return "".join(
        f"{each.digest}  {'accepted ' if each.accepted else ''}{printable(each.what)}\n" for each in found
    )
