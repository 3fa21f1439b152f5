# Run by test_container.py as root in a mount namespace of its own: unshare -m --propagation private.
# container.sh FOLDER ROOT PREFIX BASE ARGUMENTS...: runs PREFIX's Python (of the installation BASE) on ROOT's
# code as compose.yaml would: as user 10001 without any capability, on a read-only root; only /run/maskwatch
# and /var/lib/maskwatch can be written. FOLDER/secrets becomes /run/secrets, FOLDER/config.yaml
# /run/config.yaml.
set -eu
folder=$1 root=$2 prefix=$3 base=$4
shift 4
mount --make-rprivate /
mkdir "$folder/run"
mount -t tmpfs -o mode=0755 tmpfs "$folder/run"
cp -r "$folder/secrets" "$folder/config.yaml" "$folder/run"
chmod -R a+rX "$folder/run"
mkdir "$folder/run/maskwatch" "$folder/run/code" "$folder/run/python" "$folder/run/base"
# What lies below directories that are closed to others is brought to where user 10001 may go.
mount --bind "$root" "$folder/run/code"
mount --bind "$prefix" "$folder/run/python"
mount --bind "$base" "$folder/run/base"
mount -t tmpfs -o mode=0700,uid=10001,gid=10001 tmpfs "$folder/run/maskwatch"
mount --rbind "$folder/run" /run
# A virtual environment names its base by its path: that must be open, too.
place=$base closed=
while [ "$place" != / ]; do
	place=$(dirname "$place")
	[ "$(stat -c %A "$place" | cut -c10)" = x ] || closed=$place
done
if [ -n "$closed" ]; then
	mount -t tmpfs -o mode=0755 tmpfs "$closed"
	mkdir -p "$base"
	mount --bind /run/base "$base"
fi
mount -t tmpfs -o mode=0755 tmpfs /var/lib
mkdir /var/lib/maskwatch
mount -t tmpfs -o mode=0700,uid=10001,gid=10001 tmpfs /var/lib/maskwatch
# All that is not ours becomes read-only, the root first of all.
awk '{print $5}' /proc/self/mountinfo | grep -Ev '^/(proc|sys|dev)(/|$)|/run/maskwatch$|^/var/lib/maskwatch$' |
	while read -r place; do mount -o remount,bind,ro "$place" 2> /dev/null || true; done
if touch /etc/maskwatch-probe 2> /dev/null; then
	echo "the root is not read-only" >&2
	exit 99
fi
cd /
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all \
	--inh-caps=-all --ambient-caps=-all /run/python/bin/python "$@"
