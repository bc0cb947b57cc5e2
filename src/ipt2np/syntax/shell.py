"""What stands around iptables commands where people type or script them: prompts, captures, other shell commands."""

from __future__ import annotations

import re
from dataclasses import dataclass

_GLYPHS = "\N{HEAVY RIGHT-POINTING ANGLE QUOTATION MARK ORNAMENT}\N{HEAVY ROUND-TIPPED RIGHTWARDS ARROW}"
_BEFORE_TYPING = (
    r"[ \t]*(?:\[[^\]]{1,200}\][#$%>]"  # [root@host ~]#
    r"|[^\s#$%>]{0,100}[@~:][^\s#$%>]{0,100}(?:[ \t][^\s#$%>]{1,200})?[ \t]?[#$%>]"  # root@host:~#, user@host ~ %
    rf"|[\w.-]{{0,100}}[#$%]|[{_GLYPHS}])"  # bash-5.1#, $
)
PROMPT = re.compile(_BEFORE_TYPING + r"[ \t]+(?=\S)")
"""A prompt in front of what is typed: ``root@host:~# …``, ``[root@host ~]# …``, ``$ …``."""
_SAVE = re.compile(
    r"(?:sudo(?:[ \t]+-\S+)*[ \t]+)?(?:/\S*/)?(ip6?tables)(?:-(legacy|nft))?-save((?:[ \t]+-\S+(?:[ \t]+[a-z]+)?)*)"
    r"[ \t]*(?:[|>].*)?"
)
_TABLE = re.compile(r"(?:^|\s)(?:-t|--table)[ \t=]*([a-z]+)")
_HARMLESS = re.compile(
    r"[ \t]*(?:sudo[ \t]+)?(?:/\S*/)?(?:echo|printf|modprobe|insmod|depmod|sysctl|logger|sleep|cd|mkdir|touch|date|true|:"
    r"|ipset|ip6?tables-(?:legacy-|nft-)?save|netfilter-persistent[ \t]+save|service[ \t]+ip6?tables[ \t]+save)(?=[ \t]|$)"
    r"|[ \t]*set[ \t]+[+-][a-z]+(?:[ \t]+pipefail)?[ \t]*$"
)
"""Shell commands after which the packet filter is what it was."""
_RUNS_MORE = re.compile(r";|&&|\|\||[|`]|\$\(|<\(")
"""What might run another command on such a line."""
_VALUE = r"(?:\"(?:[^\"\\`$]|\\.|\$[\w{])*\"|'[^']*'|[^\s\"'`;&|<>()$]|\$[\w{])*"
_ASSIGNMENTS = re.compile(
    rf"[ \t]*(?:(?:(?:export|readonly|local|declare)[ \t]+[A-Za-z_]\w*(?:={_VALUE})?|[A-Za-z_]\w*={_VALUE})"
    r"(?:[ \t]*;[ \t]*|[ \t]+|$))+(?:#.*)?"
)
_KEYWORDS = frozenset(
    {"if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "function"}
    | {"select", "source", "exec", "eval", "exit", "return", ".", "{", "}", "(", ")", "[", "[["}
)
_SHELL_SIGNS = re.compile(r"[;|&`{}=<>]|\$[\w{(]")
_OPTION_LIKE = re.compile(r"(?:^|[ \t])--?[A-Za-z]")
_FAREWELL = re.compile(r"[ \t]*(?:exit|logout)(?:[ \t]+[0-9]+)?[ \t]*")
_BARE_PROMPT = re.compile(_BEFORE_TYPING + r"[ \t]*")
_FENCE = re.compile(
    r"[ \t]*(?:`{3,}|~{3,})[\w+.-]*[ \t]*|[ \t]*(?:\[/?code\]|</?(?:pre|code)>|\{code(?::\w+)?\})[ \t]*", re.I
)


@dataclass(frozen=True, slots=True)
class Capture:
    """A command whose output stands behind it: ``iptables-save``, ``ip6tables -S``."""

    family: int
    backend: str
    table: str | None = None


def capture(text: str) -> Capture | None:
    """The command that prints a dump, typed with or without a prompt; None for any other line."""
    prompt = PROMPT.match(text)
    found = _SAVE.fullmatch(text.strip()) or (
        _SAVE.fullmatch(text[prompt.end() :].rstrip()) if prompt else None
    )
    if found is None:
        return None
    table = _TABLE.search(found.group(3))
    return Capture(
        6 if found.group(1) == "ip6tables" else 4, found.group(2) or "", table.group(1) if table else None
    )


def harmless(text: str) -> bool:
    """True where a shell's line certainly changes no rule."""
    if _ASSIGNMENTS.fullmatch(text):
        return True
    return _HARMLESS.match(text) is not None and _RUNS_MORE.search(text) is None


def stops_on_failure(text: str) -> bool:
    """True for ``set -e``: the shell ends at the first command that fails."""
    return (
        re.match(r"[ \t]*set[ \t]+-[a-z]*e", text) is not None
        or re.match(r"#![ \t]*\S+[ \t]+-[a-z]*e", text) is not None
    )


def is_fence(text: str) -> bool:
    """True for a line that marks a block of code: three backticks, ``[code]``, ``<pre>``."""
    return _FENCE.fullmatch(text) is not None


def is_prose(text: str, *, scripted: bool, last: bool) -> bool:
    """True where a line beside commands can be neither a rule nor, where ``scripted``, a shell's command.

    Nothing in it looks like an option, so that no rule can hide in it, however damaged. ``last`` says that no command
    stands behind it.
    """
    if is_fence(text) or _BARE_PROMPT.fullmatch(text):
        return True
    prompt = PROMPT.match(text)
    bare = text[prompt.end() :] if prompt else text
    if _OPTION_LIKE.search(bare):
        return False
    if not scripted or (last and _FAREWELL.fullmatch(bare)):
        return True
    words = bare.split()
    return len(words) > 1 and words[0] not in _KEYWORDS and _SHELL_SIGNS.search(bare) is None
