"""``portkin doctor``: what is wrong with an installation, and what to do about it.

`facts` are gathered by the modules in ``gathering/``, which alone touch files, sockets and processes. ``checks/`` turn
facts into `findings.Finding`, without side effects. `report` and `bundle` write both down.
"""
