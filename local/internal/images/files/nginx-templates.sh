#!/bin/bash
# Makes /etc/nginx/conf.d/NAME out of /etc/nginx/templates/NAME.template by
# putting in environment variables. NGINX_ENVSUBST_TEMPLATE_DIR,
# NGINX_ENVSUBST_TEMPLATE_SUFFIX and NGINX_ENVSUBST_OUTPUT_DIR override the
# places; NGINX_ENVSUBST_FILTER is an expression that a variable's name must match.
set -e
from=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
to=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}

[ -d "$from" ] || exit 0
[ -w "$to" ] || { echo "$0: $to is not writable: no template is used" >&2; exit 0; }
# Only names that exist: nginx's own $variables stay as they are.
names=$(compgen -e | grep -E "${NGINX_ENVSUBST_FILTER:-.}" | sed 's/.*/${&}/' | tr '\n' ' ' || :)
find "$from" -follow -type f -name "*$suffix" | sort | while read -r template; do
  file=$to/${template#"$from"/}
  file=${file%"$suffix"}
  mkdir -p "$(dirname "$file")"
  envsubst "$names" <"$template" >"$file"
done
