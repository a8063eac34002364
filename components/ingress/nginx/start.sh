#!/bin/sh
# Starts nginx with what only its container knows. The rendered configuration leaves
# these open:
#   @nameservers@, @domain@   the name servers, and the cluster's domain as the search
#                             domain svc.DOMAIN tells it, both of resolv.conf
#   lines after "#@ipv6@ "    hold where there is IPv6
#   lines after "#@start@ "   hold in a configuration that went through here; in them
#   @token@, @short@          a secret of this start, and its first digits
# The images that nginx comes in have a shell and sed, and no program of ours.
#
# usage: start.sh RENDERED RESULT [RESOLV_CONF IF_INET6]
set -eu
rendered=$1 result=$2
resolv_conf=${3:-/etc/resolv.conf} if_inet6=${4:-/proc/net/if_inet6}
say() { echo "start.sh: $*" >&2; }

# What an older nginx says of the file is the first directive that it does not know. The
# tag of an image need not tell, and another one's version is not nginx'.
version=$(nginx -v 2>&1) || :
version=${version##*nginx/}
case $version in
0.* | 1.[0-9] | 1.[0-9].* | 1.1[0-9] | 1.1[0-9].* | 1.2[0-7] | 1.2[0-7].*)
  say "the image has nginx ${version%% *}, and 1.28 or later is needed: name another image"
  exit 1
  ;;
esac

servers='' domain=''
if [ -r "$resolv_conf" ]; then
  # A last line may lack its end.
  while read -r key value rest || [ -n "$key" ]; do
    case $key in
    nameserver)
      case $value in
      *[!0-9A-Fa-f.:]*) say "name server $value of $resolv_conf is left out: nginx takes addresses without a zone" ;;
      *:*:*) servers="$servers [$value]" ;;
      [0-9]*.[0-9]*.[0-9]*.[0-9]*) servers="$servers $value" ;;
      *) say "name server $value of $resolv_conf is left out: it is no address" ;;
      esac
      ;;
    search)
      for name in $value $rest; do
        case $name in
        *[!0-9A-Za-z.-]*) ;;
        svc.?*) name=${name#svc.} domain=${domain:-.${name%.}} ;;
        esac
      done
      ;;
    esac
  done <"$resolv_conf"
fi
# Whatever is missing, nginx starts: it answers for itself, and its log says why the
# services are not found.
if [ -z "$servers" ]; then
  say "$resolv_conf names no name server: no service will be found"
  servers=' 127.0.0.1'
fi
if [ -z "$domain" ] && grep -q @domain@ "$rendered"; then
  say "$resolv_conf has no search domain svc.DOMAIN: services are looked up without the cluster's domain"
fi

if [ -e "$if_inet6" ]; then ipv6='s/#@ipv6@ //'; else ipv6='/#@ipv6@ /d'; fi
read -r token </proc/sys/kernel/random/uuid
umask 077
sed -e "s/ @nameservers@/$servers/" -e "s/@domain@/$domain/" -e "$ipv6" \
  -e 's/#@start@ //' -e "s/@token@/$token/" -e "s/@short@/${token%%-*}/" "$rendered" >"$result"
exec nginx -e stderr -c "$result"
