"""The minimal component of each kind: an honest baseline, and a contract written out.

Each is a package of descriptors (`norm`) and a module with the class (`norm.norm`). The conformance
kit surrounds a tested component with them, `tp plugins new` copies them under another name, and
docs/writing-a-plugin.md shows them. The names a copy replaces are the package's, the class's
`Minimal` and the component's `minimal`, so nothing else here is called so.
"""
