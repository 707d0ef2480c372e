##! All notices of this package: sources that became scanners, and probing rates.
##! Opt-in; each kind can be loaded by itself.

@load ./scan-notice
@load ./rates-notice
