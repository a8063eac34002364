#!/bin/bash
# With NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE set, as many workers as the
# container may use processors, by its cgroup.
set -e
[ -n "${NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE-}" ] || exit 0
conf=/etc/nginx/nginx.conf
[ -w "$conf" ] || { echo "$0: $conf is not writable: the number of workers stays" >&2; exit 0; }

n=$(nproc)
quota=max period=100000
if [ -r /sys/fs/cgroup/cpu.max ]; then
  read -r quota period </sys/fs/cgroup/cpu.max
elif [ -r /sys/fs/cgroup/cpu/cpu.cfs_quota_us ]; then
  quota=$(</sys/fs/cgroup/cpu/cpu.cfs_quota_us) period=$(</sys/fs/cgroup/cpu/cpu.cfs_period_us)
fi
if [ "$quota" != max ] && [ "$quota" -gt 0 ]; then
  limit=$(((quota + period - 1) / period))
  [ "$limit" -ge "$n" ] || n=$limit
fi
text=$(sed "s/^worker_processes .*/worker_processes $n;/" "$conf")
printf '%s\n' "$text" >"$conf"
