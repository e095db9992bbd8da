"""How the page at ``/api/docs`` looks."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --paper: #ffffff; --line: #d8dee4; --tint: #f4f6f8;
  --link: #0757b8; --get: #0757b8; --post: #1a7340; --put: #8a5300; --delete: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #9aa4af; --paper: #14171a; --line: #31373d;
  --tint: #1d2125; --link: #7ab4ff; --get: #7ab4ff; --post: #6fcf97; --put: #e5b567; --delete: #ff8a80; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; display: grid; grid-template-columns: 17rem minmax(0, 1fr); background: var(--paper);
  color: var(--ink); font: 15px/1.55 system-ui, sans-serif; }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1rem 1.2rem 3rem; background: var(--tint);
  border-right: 1px solid var(--line); }
nav h2 { margin: 1.1rem 0 .3rem; font-size: .95rem; }
nav h2 a { color: var(--ink); }
nav ul { list-style: none; margin: 0; padding: 0; font-size: .87rem; line-height: 1.75; }
main { padding: 1.5rem 2.5rem 6rem; max-width: 68rem; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
h1 { margin: 0 0 1rem; font-size: 1.8rem; }
h1 small { color: var(--soft); font-size: 1rem; font-weight: normal; }
main > h2 { margin: 3rem 0 .5rem; padding-bottom: .3rem; border-bottom: 2px solid var(--line); font-size: 1.4rem; }
section { margin: 0 0 1.6rem; padding: .2rem 0 .6rem; border-bottom: 1px solid var(--line); }
h3 { margin: 1.2rem 0 .3rem; font-size: 1.02rem; }
h3 code { background: none; padding: 0; font-size: 1rem; }
h3 b { display: inline-block; min-width: 4.4rem; font-size: .82rem; letter-spacing: .04em; }
.get { color: var(--get); } .post { color: var(--post); } .put { color: var(--put); } .delete { color: var(--delete); }
h4 { margin: .9rem 0 .2rem; font-size: .82rem; color: var(--soft); text-transform: uppercase; letter-spacing: .05em; }
p { margin: .3rem 0; max-width: 48rem; }
.summary { font-weight: 600; }
.roles { margin-left: .5rem; padding: .05rem .45rem; border: 1px solid var(--line); border-radius: 1rem;
  color: var(--soft); font-size: .78rem; font-weight: normal; }
.header { padding-left: 1.2rem; color: var(--soft); }
code, pre { font: .87em ui-monospace, "DejaVu Sans Mono", monospace; }
code { padding: .1em .3em; border-radius: 4px; background: var(--tint); }
pre { margin: .5rem 0; padding: .7rem 1rem; overflow-x: auto; border: 1px solid var(--line); border-radius: 6px;
  background: var(--tint); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
td { padding: .22rem 1rem .22rem 0; border-top: 1px solid var(--line); vertical-align: top; }
td:first-child code { white-space: nowrap; }
td:last-child { min-width: 14rem; color: var(--soft); }
td i { color: var(--soft); font-size: .8rem; }
ul.content { margin: .2rem 0; padding-left: 1.2rem; }
details { margin: .4rem 0; font-size: .9rem; }
summary { color: var(--soft); cursor: pointer; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: .5rem 0; }
dt { font-weight: 600; } dd { margin: 0; }
@media (max-width: 50rem) { body { display: block; } nav { position: static; height: auto; border-right: 0; }
  main { padding: 1rem 1.2rem 4rem; } }
"""
