# Run by test_systemd.py as root in a mount namespace of its own: unshare -m --propagation private.
# user_manager.sh FOLDER: starts a real systemd user manager on FOLDER/unit/*.service, then runs FOLDER/steps.
set -u
folder=$1
mount --make-rprivate /
mount --make-rshared / # of its own: what systemd mounts for a service, its credentials, is to be seen there
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/user/0
chmod 700 /run/user/0
export XDG_RUNTIME_DIR=/run/user/0 HOME=$folder/home
mkdir -p "$HOME/.config/systemd/user"
cp "$folder"/unit/*.service "$HOME/.config/systemd/user/"
group=maskwatch-test-$$
for hierarchy in systemd unified; do
	mkdir -p "/sys/fs/cgroup/$hierarchy/$group" && echo $$ > "/sys/fs/cgroup/$hierarchy/$group/cgroup.procs"
done 2> /dev/null
SYSTEMD_LOG_TARGET=console /lib/systemd/systemd --user > "$folder/manager.log" 2>&1 &
manager=$!
for _ in $(seq 100); do systemctl --user is-system-running 2> /dev/null | grep -q running && break; sleep 0.1; done
bash "$folder/steps"
systemctl --user stop '*.service' 2> /dev/null
systemctl --user exit
for _ in $(seq 50); do kill -0 $manager 2> /dev/null || break; sleep 0.1; done
kill -9 $manager 2> /dev/null
wait
for hierarchy in systemd unified; do
	echo $$ > "/sys/fs/cgroup/$hierarchy/cgroup.procs"
done 2> /dev/null
find /sys/fs/cgroup/*/"$group" -depth -type d -exec rmdir {} \; 2> /dev/null
exit 0
