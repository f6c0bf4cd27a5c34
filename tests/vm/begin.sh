#!/bin/sh
# The machine's only program: the scenario, with what it reports on the last disk, and then no power.
export PYTHONPATH=/project:/packages PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
timeout --kill-after=10 2300 python3 -m tests.vm.inside /dev/vdd
sync
echo o >/proc/sysrq-trigger
sleep 30
