# Copies PostgreSQL (its programs are in $1), the few tools that the entrypoint needs and their libraries to ./root.
bin=$(readlink -f "$1")
lib=$(dirname "$bin")/lib
share=$("$bin/pg_config" --sharedir 2>/dev/null || echo "/usr/share/postgresql/$(basename "$(dirname "$bin")")")
mkdir -p root/usr/bin root/usr/lib root/usr/lib64 root/etc root/run root/tmp root/var/lib root/proc root/dev root/sys
for name in bin lib lib64; do ln -s "usr/$name" "root/$name"; done
chmod 1777 root/tmp
tools=$(for name in sh cat mkdir chown chmod id setpriv; do command -v "$name"; done)
servers=$(for name in postgres initdb; do echo "$bin/$name"; done)
# The compiler of queries is the largest part by far, and nothing here needs it.
modules=$(ls "$lib"/*.so | grep -v llvmjit)
for file in $tools $servers $modules; do
  mkdir -p "root$(dirname "$file")"
  cp -L "$file" "root$file"
  ldd "$file" 2>/dev/null | grep -o '/[^ ]*' || :
done | sort -u | while read -r file; do
  mkdir -p "root$(dirname "$file")"
  cp -nL "$file" "root$file"
done
mkdir -p "root$share" root/usr/share
cp -rL "$share/." "root$share"
cp -rL /usr/share/zoneinfo root/usr/share/ 2>/dev/null || :
printf 'root:x:0:0::/:/bin/sh\npostgres:x:999:999::/:/bin/sh\n' > root/etc/passwd
printf 'root:x:0:\npostgres:x:999:\n' > root/etc/group
{ cat entrypoint | sed "s#@BIN@#$bin#"; } > root/entrypoint
chmod 755 root/entrypoint
