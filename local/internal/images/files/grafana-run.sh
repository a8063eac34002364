#!/bin/sh
# Starts Grafana with the settings of the official image: GF_PATHS_* are its
# folders, GF_SECTION_KEY any key of its configuration, GF_SECTION_KEY__FILE a
# file to read such a key from.
set -e
fail() { echo "$*" >&2; exit 1; }

for name in $(env | sed -n 's/^\(GF_[A-Za-z0-9_]*\)__FILE=.*/\1/p'); do
  eval "value=\${$name-} file=\$${name}__FILE"
  [ -z "$value" ] || fail "$name and ${name}__FILE are both set: set one"
  [ -r "$file" ] || fail "${name}__FILE: $file cannot be read"
  eval "$name=\$(cat \"\$file\"); export $name; unset ${name}__FILE"
done
[ -z "${GF_INSTALL_PLUGINS-}" ] || echo "GF_INSTALL_PLUGINS is ignored: this image takes no plugins" >&2

[ -w "$GF_PATHS_DATA" ] || fail "GF_PATHS_DATA=$GF_PATHS_DATA is not writable for user $(id -u): mount a volume there that is"

exec /usr/share/grafana/bin/grafana-server \
  --homepath="$GF_PATHS_HOME" \
  --config="$GF_PATHS_CONFIG" \
  --packaging=docker \
  "$@" \
  cfg:default.log.mode=console \
  cfg:default.paths.data="$GF_PATHS_DATA" \
  cfg:default.paths.logs="$GF_PATHS_LOGS" \
  cfg:default.paths.plugins="$GF_PATHS_PLUGINS" \
  cfg:default.paths.provisioning="$GF_PATHS_PROVISIONING"
