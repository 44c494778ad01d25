"""Which shell commands a lock on `src/parser/**` stops, and which are let through: the whole table."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

from hooking import git, repository
from repomesh.domains.leases import paths
from repomesh.domains.overview.cli_hooks.models import GuardEdit
from repomesh.kernel import file_names
from repomesh.kernel.limits import (
    EDITED_PATHS_MAX,
    SHELL_CHARS_MAX,
    SHELL_DEPTH_MAX,
    SHELL_FOLDERS_MAX,
    SHELL_PROGRAMS_MAX,
    SHELL_STEPS_MAX,
)
from repomesh.surfaces.hooks.dialects.shell import writes_of_command, writes_of_patch
from repomesh.surfaces.hooks.dialects.writes import WriteSet
from repomesh.surfaces.hooks.repo_paths import find_repository_paths

LOCK = "src/parser/**"

WRITES = r"""
objcopy --strip-debug src/parser/a.o
objcopy a.o src/parser/a.o
strip src/parser/a.o
sqlite3 src/parser/a.db 'create table t (a)'
sqlite3 -cmd .mode src/parser/a.db
script -q src/parser/a.py
script -c make src/parser/a.py
flock src/parser/a.lock make
ln src/parser/a.py b.py
ln -t docs src/parser/a.py
cp -l src/parser/a.py b.py
link src/parser/a.py b.py
parallel rm ::: src/parser/a.py
parallel 'rm {}' ::: docs/a.md src/parser/a.py
parallel -j4 'echo x > {}' ::: src/parser/a.py
parallel 'cd src && rm parser/{}' ::: a.py
parallel 'sed -i s/a/b/ {/}' ::: src/parser/a.py
parallel rm :::: list
parallel ::: 'rm src/parser/a.py'
echo src/parser/a.py | parallel rm
strace -o src/parser/a.py true
/usr/bin/time --output=src/parser/a.py make
perf record -o src/parser/a.py make
script -O src/parser/a.py -c make
find . -name x -exec strace -osrc/parser/a.py cat {} +
gpg --output src/parser/a.py -d key.gpg
openssl rand -hex -out src/parser/a.py 8
xxd -r dump.txt src/parser/a.py
iconv -f latin1 -t utf-8 -o src/parser/a.py b.py
pip install -q -t src/parser requests
python3 -m pip download --dest src/parser requests
uv pip install --target=src requests
git config -f src/parser/a.cfg core.bare true
git -c alias.x='!rm src/parser/a.py' x
echo x > src/parser/a.py
echo x >> src/parser/a.py
echo x >| src/parser/a.py
echo x &> src/parser/a.py
echo x 2>> src/parser/a.py
: > src/parser/a.py
cat a.txt>src/parser/a.py
cat > src/parser/new.py <<'EOF'⏎text⏎EOF
cd src && echo x > parser/a.py
cd src/parser; rm a.py
(cd src/parser && rm a.py)
pushd src; rm parser/a.py
rm src/parser/a.py
rm -rf src
rm -rf src/parser
rm -rf ./src/
rm -rf .
rm -rf *
rm -r src/*
rm -rf s?c
rm src/{other,parser}/a.py
rm "src/parser/a.py"
rm src/par\ser/a.py
rm -- src/parser/a.py
rm src/parser/[ab].py
rm -rf "$PWD/src"
X=src; rm -rf $X
X=src/parser; rm "$X/a.py"
for f in a b; do rm src/parser/$f.py; done
for d in src docs; do rm -rf $d; done
if true; then rm src/parser/a.py; fi
while read l; do echo $l > src/parser/a.py; done
f() { rm src/parser/a.py; }; f
unlink src/parser/a.py
shred -u src/parser/a.py
mv src/parser docs
mv src elsewhere
mv src/parser/a.py{,.bak}
cp src/parser/{b,a}.py
mv src/parser/{a,b}.py
mv docs/x.md src/parser
mv docs/x.md src/parser/
mv -t src/parser docs/x.md
cp docs/x.md src/parser
cp -r docs src/parser/
cp docs/x.md src/parser/a.py
cp -t src/parser docs/x.md
install -m 644 docs/x.md src/parser
ln -sf ../docs src/parser/link
rsync -a docs/ src/parser/
rsync -a --delete lib/ src/
sed -i s/a/b/ src/parser/a.py
sed -i.bak -e s/a/b/ src/other.py src/parser/a.py
sed -Ei 's/a/b/' src/parser/*.py
sed --in-place s/a/b/ src/parser/a.py
sed --in-pl s/a/b/ src/parser/a.py
sed --i=.bak s/a/b/ src/parser/a.py
sed --in-place=.bak --expr s/a/b/ src/parser/a.py
cp --target-dir=src/parser docs/x.md
cp --target-dir src/parser docs/x.md
sort --outp src/parser/a.py docs/x.md
tar --extr --file a.tar --dir src
perl -pi -e 's/a/b/' src/parser/a.py
perl -i.bak -pe 's/a/b/' src/parser/a.py
echo x | tee src/parser/a.py
echo x | tee -a docs/log src/parser/a.py
echo x | sudo tee src/parser/a.py
dd if=/dev/zero of=src/parser/a.py
truncate -s 0 src/parser/a.py
touch src/parser/new.py
chmod +x src/parser/a.py
tar xzf a.tgz -C src
tar -xf a.tar --directory=src/parser
tar xf a.tar
unzip -o a.zip -d src
unzip a.zip
gzip src/parser/a.py
sort -o src/parser/a.py docs/x.md
curl -o src/parser/a.py http://localhost/x
wget -O src/parser/a.py http://localhost/x
patch -p1 < change.diff
patch src/parser/a.py change.diff
patch -p1 <<'EOF'⏎--- a/src/parser/a.py⏎+++ b/src/parser/a.py⏎@@ -1 +1 @@⏎-a⏎+b⏎EOF
git apply change.diff
git apply <<'EOF'⏎--- a/src/parser/a.py⏎+++ /dev/null⏎EOF
cd src && git apply <<'EOF'⏎--- a/src/parser/a.py⏎+++ b/src/parser/a.py⏎EOF
cd src && git apply - <<'EOF'⏎--- a/src/parser/a.py⏎+++ b/src/parser/a.py⏎EOF
cd src/parser && git apply <<'EOF'⏎--- a/src/parser/a.py⏎+++ b/src/parser/a.py⏎EOF
cd src && git apply <<'EOF'⏎--- a/parser/a.py⏎+++ b/parser/a.py⏎EOF
cd src && git apply -p2 <<'EOF'⏎--- a/src/parser/a.py⏎+++ b/src/parser/a.py⏎EOF
git -C src apply <<'EOF'⏎--- a/src/parser/a.py⏎+++ b/src/parser/a.py⏎EOF
git apply --directory=src <<'EOF'⏎--- a/parser/a.py⏎+++ b/parser/a.py⏎EOF
git apply --directory src/parser -p 3 <<'EOF'⏎--- a/x/y/a.py⏎+++ b/x/y/a.py⏎EOF
git apply -p0 <<'EOF'⏎--- src/parser/a.py⏎+++ src/parser/a.py⏎EOF
git apply -p$N <<'EOF'⏎--- docs/x.md⏎+++ docs/x.md⏎EOF
git apply --directory=$D <<'EOF'⏎--- a/a.py⏎+++ b/a.py⏎EOF
git apply <<'EOF'⏎--- i/src/parser/a.py⏎+++ w/src/parser/a.py⏎EOF
git apply <<'EOF'⏎diff --git a/src/parser/a.png b/src/parser/a.png⏎GIT binary patch⏎EOF
git apply <<'EOF'⏎diff --git a/src/parser/a.py b/src/parser/a.py⏎old mode 100644⏎new mode 100755⏎EOF
git apply -p2 <<'EOF'⏎rename from x/docs/x.md⏎rename to x/src/parser/x.md⏎EOF
git apply change.diff <<'EOF'⏎--- a/docs/x.md⏎+++ b/docs/x.md⏎EOF
patch -p3 -d src/parser <<'EOF'⏎--- a/src/parser/a.py⏎+++ b/src/parser/a.py⏎EOF
patch -d src/parser <<'EOF'⏎--- a/src/parser/a.py⏎+++ b/src/parser/a.py⏎EOF
patch --strip=2 -d src <<'EOF'⏎--- a/src/parser/a.py⏎+++ b/src/parser/a.py⏎EOF
patch -o src/parser/a.py docs/x.md <<'EOF'⏎--- a/docs/x.md⏎+++ b/docs/x.md⏎EOF
git am change.mbox
git restore .
git restore src/parser/a.py
git restore --staged --worktree src
git checkout -- src
git checkout -- .
git checkout .
git checkout HEAD~1 -- src/parser/a.py
git checkout HEAD~1 src/parser/a.py
git checkout src/parser/a.py
git checkout main
git switch main
git switch -
git stash
git stash pop
git stash apply
git stash push -- src
git reset --hard
git reset --hard HEAD~1
git clean -fd
git clean -fdx src
git rm -r src
git rm src/parser/a.py
git mv src/parser/a.py docs/
git -C src restore parser
git cherry-pick abc123
git revert HEAD
git checkout-index -a -f
find . -name '*.py' -delete
find . -name '*.pyc' -delete
find src -type f -delete
find src -name '*.py' -exec sed -i s/a/b/ {} +
find . -exec rm {} \;
find src -name '*.py' | xargs sed -i s/a/b/
find src -type f -print0 | xargs -0 rm
grep -rl foo src | xargs sed -i s/foo/bar/
ls src/parser | xargs rm
cat list | xargs rm
cat list | xargs -I{} mv {} docs/
git ls-files | xargs sed -i s/a/b/
rm $FILES
rm "$(cat list)"
echo x > "$TARGET"
rm src/parser/$NAME
rm -rf src/$NAME
cd "$DIR" && rm -rf build
sh -c 'rm src/parser/a.py'
bash -lc "cd src && rm parser/a.py"
bash -c 'sh -c "rm src/parser/a.py"'
bash <<'EOF'⏎rm src/parser/a.py⏎EOF
(cat list) | sh
cat list |⏎sh
cat <<'EOF' | sh⏎rm src/parser/a.py⏎EOF
echo 'rm src/parser/a.py' | sh
eval rm src/parser/a.py
eval 'rm src/parser/a.py'
echo $(rm src/parser/a.py)
echo `rm src/parser/a.py`
diff <(rm src/parser/a.py) docs/x.md
sudo -u root rm src/parser/a.py
env A=1 rm src/parser/a.py
A=1 rm src/parser/a.py
timeout 5 rm src/parser/a.py
nohup rm src/parser/a.py &
/bin/rm src/parser/a.py
\rm src/parser/a.py
true && rm src/parser/a.py
false || rm src/parser/a.py
ls; rm src/parser/a.py
rm \⏎ src/parser/a.py
ls # nothing⏎rm src/parser/a.py
black .
black src
ruff format
ruff check --fix src
prettier --write src/parser/a.ts
gofmt -w src
apply_patch <<'EOF'⏎*** Begin Patch⏎*** Update File: src/parser/a.py⏎*** End Patch⏎EOF
apply_patch <<'EOF'⏎*** Begin Patch⏎*** Update File: docs/x.md⏎*** Move to: src/parser/x.md⏎*** End Patch⏎EOF
git checkout -f
git checkout --force main
git read-tree -u --reset HEAD~1
git read-tree -um HEAD~1
git sparse-checkout set docs
git sparse-checkout disable
git submodule deinit -f src
git worktree remove src/parser
git worktree add src/parser/tree
git clone ../other src/parser/other
git filter-branch --tree-filter 'rm a' HEAD
git mergetool
git rebase -x 'make' main
git diff --output=src/parser/a.py
git format-patch -o src/parser main
git merge-file src/parser/a.py b c
git --work-tree=src/parser checkout -f
env -C src rm parser/a.py
env --chdir=src/parser rm a.py
env -i -C src A=1 rm parser/a.py
env -S 'rm src/parser/a.py'
sudo -D src/parser rm a.py
nice -n 5 env -C src rm parser/a.py
flock /tmp/lock rm src/parser/a.py
flock /tmp/lock -c 'rm src/parser/a.py'
watch -n 1 rm src/parser/a.py
su me -c 'rm src/parser/a.py'
taskset 1 rm src/parser/a.py
cp -rT docs src
cp -r -T docs src/parser
ln -sfT ../docs src/parser
uv run ruff format src
uv run --with black black .
uvx ruff@latest format
uvx --from black black src
uv run python -m black src
npx prettier -w .
npx --yes prettier@3 --write src
npx -- eslint --fix .
npx prettier --write "src/**/*.ts"
prettier --write "src/**/*.{ts,py}"
prettier -w "src/parser/*.py"
prettier --write '{docs,src/parser}/**'
prettier --write 'src/+(parser|lib)/*.py'
prettier --write "src/$X/*.py"
npx eslint --fix "src/**/*.ts"
stylelint --fix "src/**/*.css"
npx jscodeshift -t x.js "src/**/*.ts"
npx jscodeshift --transform=x.js 'src/parser/?.py'
dprint fmt "src/**/*.ts"
npx @biomejs/biome check --write "src/**"
black 'src/*'
npx replace-in-file a b 'src/**/*.py'
npm exec -- prettier --write src
pnpm exec eslint --fix src
pnpm dlx prettier -w .
yarn prettier --write .
yarn dlx prettier --write .
bunx prettier --write .
bunx biome check --write
python -m black src
python3 -m isort .
python3.11 -m ruff format
poetry run black .
pdm run black .
hatch run -- black .
pipx run black src
pipenv run black .
conda run -n base black .
bundle exec rubocop -a
nix run nixpkgs#black -- src
mise exec -- black src
node_modules/.bin/prettier --write src
cargo fmt
cargo +nightly fmt
cargo clippy --fix --allow-dirty
cargo-fmt
rustup run nightly cargo fmt
golangci-lint run --fix
golangci-lint fmt
markdownlint --fix .
markdownlint-cli2 --fix src/parser/README.md
mdformat .
taplo format
swiftlint --fix
swiftlint lint --fix
swift-format -i src/parser/a.swift
swift-format format --in-place -r src
swift format -i src
clang-tidy -fix src/parser/a.c
clang-tidy -p build --fix-errors src/parser/a.c
ruff check --add-noqa
ruff check --fix-only
ast-grep -p 'a' -r 'b' -U
ast-grep run --pattern a --rewrite b --update-all src
sg scan -U
bun run prettier --write .
pnpm prettier --write .
pnpm run prettier --write .
uv tool run ruff format
npm run prettier -- --write .
npm run lint -- --fix
npx tsx -e "fs.writeFileSync('src/parser/a.py', '')"
bun -e 'Bun.write("src/parser/a.py", "x")'
deno eval 'Deno.writeTextFileSync("src/parser/a.py", "x")'
deno lint --fix
pwsh -Command "Set-Content src/parser/a.py x"
pwsh -NoProfile -c Set-Content src/parser/a.py x
pwsh -EncodedCommand UwBlAHQA
go fmt ./...
terraform fmt
biome format --write
stylelint --fix src
shfmt -w src
clang-format -i src/parser/a.c
pre-commit run --all-files
yq -i '.a=1' src/parser/a.yml
sd old new src/parser/a.py
awk -i inplace '{print}' src/parser/a.py
gawk -i inplace -f x.awk src/parser/a.py
awk '{print > "src/parser/a.py"}' docs/x.md
awk '{print $1 >> "src/parser/a.py"}' docs/x.md
awk '{print > FILENAME ".bak"}' docs/x.md
awk 'BEGIN {system("rm src/parser/a.py")}'
sed -n 'w src/parser/a.py' docs/x.md
sed 's/a/b/w src/parser/a.py' docs/x.md
sed -e 's/a/b/gw src/parser/a.py' docs/x.md
sed '1w src/parser/a.py' docs/x.md
scp host:docs/a.py src/parser
scp host:x src/parser/a.py
scp -r host:parser src
7z x a.7z
7z x -osrc a.7z
cpio -id < a.cpio
cpio -i -D src < a.cpio
pax -r -f a.tar
ar x a.a
jar xf a.jar
unrar x a.rar
unar a.zip
split -l 10 docs/x.md src/parser/a
csplit -f src/parser/a docs/x.md 10
rename s/a/b/ src/parser/a.py
rename 's/x/y/' src/parser/*
aria2c -d src/parser http://localhost/x
vim -es -c 'wq' src/parser/a.py
vim -c 'w src/parser/a.py' -c q docs/x.md
python -c "open('src/parser/a.py', 'w').write('x')"
python3 -c 'from pathlib import Path; Path("src/parser/a.py").write_text("x")'
python -c 'import shutil; shutil.rmtree("src")'
python -c 'import os; os.remove("src/parser/a.py")'
python - <<'EOF'⏎open("src/parser/a.py", mode="w").write("x")⏎EOF
python3 <<EOF⏎import subprocess⏎EOF
echo 'open("src/parser/a.py", "w")' | python
node -e "require('fs').writeFileSync('src/parser/a.py', '')"
node --eval "require('child_process').execSync('rm src/parser/a.py')"
perl -e 'unlink "src/parser/a.py"'
perl -e 'open(F, ">src/parser/a.py")'
perl -e 'system("rm src/parser/a.py")'
ruby -e 'File.write("src/parser/a.py", "x")'
php -r 'unlink("src/parser/a.py");'
cat <<EOF⏎$(rm src/parser/a.py)⏎EOF
cat > docs/y.md <<EOF⏎before `rm src/parser/a.py` after⏎EOF
cat <<EOF⏎"$(echo "$(rm src/parser/a.py)")"⏎EOF
bash -c "$COMMAND"
eval "$COMMAND"
exec rm src/parser/a.py
git commit -m "$(cat <<'EOF'⏎it's⏎EOF⏎)" && rm src/parser/a.py
git commit -m "$(cat <<'EOF'⏎a ( b " c⏎EOF⏎)" && rm src/parser/a.py
git commit -m "$(cat <<-EOF⏎	it's⏎	EOF⏎)"; rm src/parser/a.py
git commit -m $(cat <<'EOF'⏎it's⏎EOF) && rm src/parser/a.py
echo "$(cat <<'EOF'⏎it's⏎EOF⏎)" > src/parser/a.py
gh pr create --body "$(cat <<'EOF'⏎## it's `a` (b⏎EOF⏎)" ; sed -i s/a/b/ src/parser/a.py
echo "$(cat <<A <<B⏎it's⏎A⏎(⏎B⏎)"; rm src/parser/a.py
echo $(# it's⏎ls); rm src/parser/a.py
echo "it's ; rm src/parser/a.py
cd nowhere; rm src/parser/a.py
cd nowhere 2>/dev/null; rm src/parser/a.py
cd nowhere || rm src/parser/a.py
[ -d zz ] && cd zz; rm src/parser/a.py
false && cd /tmp; rm src/parser/a.py
true || cd /tmp; rm src/parser/a.py
true || cd /tmp && rm src/parser/a.py
cd /tmp & rm src/parser/a.py
true | cd /tmp; rm src/parser/a.py
f() { cd /tmp; }; rm src/parser/a.py
if [ -d /tmp/zz ]; then cd /tmp; fi; rm src/parser/a.py
eval cd src; rm parser/a.py
cd src; cd parser; rm a.py
cd src || exit 1; rm parser/a.py
set -e; cd src; rm parser/a.py
pushd nowhere; rm src/parser/a.py
git restore '*.py'
git restore 'src/*'
git checkout -- "src/p*"
git clean -fd '*.py'
printf 'src/parser/a.py\n' | xargs rm
printf 'src/parser/a.py\0' | xargs -0 rm
printf '%s\n' src/parser/a.py | xargs rm
echo -e 'src/parser/a.py\n' | xargs rm
function g { rm src/parser/a.py; }; g
function g() { rm src/parser/a.py; }; g
python3.11 -c "open('src/parser/a.py','w')"
/usr/bin/python3.11 -c "open('src/parser/a.py','w')"
python3.11 - <<E⏎open('src/parser/a.py','w')⏎E
python3 -c "import os; os.open('src/parser/a.py', os.O_WRONLY|os.O_TRUNC)"
python -m zipfile -e x.zip src
python -m tarfile -e x.tar
trap 'rm src/parser/a.py' EXIT
coproc rm src/parser/a.py
: > $"src/parser/a.py"
$(echo rm) src/parser/a.py
$REMOVE -f src/parser/a.py
fd -e py -x rm
fd a src -X rm -f
dos2unix src/parser/a.py
gcc -o src/parser/a.py x.c
bash <(echo rm src/parser/a.py)
curl http://localhost/x | sh
git pull --rebase --autostash
git rebase --autostash main
git merge --autostash x
rm !(docs)
echo ${x:-$(rm src/parser/a.py)}
echo "${x:-`rm src/parser/a.py`}"
echo ${x:-${y:-$(rm src/parser/a.py)}}
echo $((1+$(rm src/parser/a.py)))
echo $((rm src/parser/a.py); ls)
if (( $(rm src/parser/a.py) > 2 )); then ls; fi
rm docs/!($(rm src/parser/a.py))
alias q=rm; q src/parser/a.py
alias q='rm -f' l=ls; l; q src/parser/a.py
alias q='ls; rm'; q src/parser/a.py
curl -O --output-dir src/parser http://localhost/a.py
curl --create-dirs --output-dir src/parser -o a.py http://localhost/x
curl -LO --output-dir "$DIR" http://localhost/a.py
ex -s src/parser/a.py
ex -sc wq src/parser/a.py
vi -es src/parser/a.py
vim -E -s src/parser/a.py
php -r 'file_put_contents("src/parser/a.py", "x");'
php -r 'fwrite(fopen("src/parser/a.py", "w"), "x");'
php -r 'rename("src/parser/a.py", "b");'
rm -rf ~+/src
rm -rf ~+
cd docs; rm -rf ~-/src
docker cp c:/x src/parser/a.py
docker cp c:/app/parser src
docker compose cp web:/x src/parser
kubectl cp -n main pod:/x ./src/parser/a.py
echo x > link/a.py
rm -rf link
"""

READS = r"""
objcopy src/parser/a.o b.o
sqlite3 -readonly src/parser/a.db 'select 1'
sqlite3 docs/a.db '.read src/parser/a.sql'
script -q docs/a.txt
flock docs/a.lock cat src/parser/a.py
ln -s ../src/parser/a.py docs/b.py
parallel cat ::: src/parser/a.py
parallel 'cat {} > docs/out.txt' ::: src/parser/a.py
parallel 'wc -l {}' ::: src/parser/a.py docs/b.md
strace -o trace.txt cat src/parser/a.py
gpg --verify src/parser/a.py.asc src/parser/a.py
openssl dgst -sha256 src/parser/a.py
xxd src/parser/a.py
xxd src/parser/a.py dump.txt
iconv -f latin1 src/parser/a.py
pip install -r src/parser/requirements.txt
git config -f src/parser/a.cfg --list
git config -f src/parser/a.cfg get core.bare
git -c color.ui=false log src/parser
ls -l src/parser
cat src/parser/a.py
head -n 5 src/parser/a.py > /dev/null
cat src/parser/a.py > docs/copy.py
cat src/parser/a.py 2>&1
cat < src/parser/a.py
grep -rn foo src/parser
grep -rn foo . 2>/dev/null
grep 'a > src/parser/a.py' docs/x.md
echo "rm -rf src"
echo 'a > src/parser/a.py'
printf '%s\n' "> src/parser/a.py"
sed -n 1,5p src/parser/a.py
sed --expr s/a/b/ src/parser/a.py
rsync --dry docs/ src/parser/
sed s/a/b/ src/parser/a.py
awk '{print $1 > 2}' src/parser/a.py
perl -ne 'print' src/parser/a.py
find src -name '*.py'
find src -name '*.py' -exec cat {} +
find src -name '*.py' | xargs cat
find docs -name '*.pyc' -delete
find . -name node_modules -prune -o -name '*.ts' -print
wc -l src/parser/*.py
diff src/parser/a.py docs/x.md
git status
git diff src/parser
git log -p -- src/parser
git show HEAD:src/parser/a.py
git add src/parser
git commit -am 'Change'
git push
git fetch
git pull
git merge main
git switch -c topic
git checkout -b topic
git restore docs
git restore --staged src/parser
git checkout -- docs
git stash list
git reset
git reset src/parser
git clean -n
git rm --cached src/parser/a.py
git apply --check change.diff
git apply <<'EOF'⏎--- a/docs/x.md⏎+++ b/docs/x.md⏎EOF
cd docs && git apply <<'EOF'⏎--- a/src/parser/a.py⏎+++ b/src/parser/a.py⏎EOF
cd docs && git apply <<'EOF'⏎--- a/docs/x.md⏎+++ b/docs/x.md⏎EOF
git apply --directory=docs <<'EOF'⏎--- a/src/parser/a.py⏎+++ b/src/parser/a.py⏎EOF
git apply -p2 <<'EOF'⏎--- a/src/docs/x.md⏎+++ b/src/docs/x.md⏎EOF
patch -p3 -d docs <<'EOF'⏎--- a/src/parser/x.md⏎+++ b/src/parser/x.md⏎EOF
git branch -D topic
git blame src/parser/a.py
rm docs/x.md
rm -rf build
rm -rf docs/*
rm -rf src/other.py
rm *.txt
mv docs/x.md docs/y.md
cp src/parser/a.py docs/
cp -r src/parser /tmp/somewhere
rsync -a src/ host:src/
rsync -an docs/ src/
tar czf /tmp/a.tgz src
tar tzf a.tgz
tar xzf a.tgz -C docs
unzip -l a.zip
T=$(mktemp -d); cp -r src $T; rm -rf $T
echo x > "$TMPDIR/x"
[[ a > b ]] && echo yes
if (( i > 2 )); then echo yes; fi
echo $((1 > 2))
python -m pytest src/parser
python -c 'print(1 > 2)'
python - <<'EOF'⏎x > src/parser/a.py⏎EOF
cat <<'EOF' > docs/x.md⏎rm src/parser/a.py⏎EOF
make -C src
npm test
black --check .
ruff check src
prettier --check .
sh -c 'ls src/parser'
cd docs && rm -rf *
(cd docs && rm -rf build); ls src
cd src/parser && cat a.py > /dev/null
cd src/parser && ls && cd ../.. && rm docs/x.md
curl http://localhost/src/parser
ls # rm src/parser/a.py
# rm src/parser/a.py
export X=src/parser
git read-tree HEAD
git sparse-checkout list
git bisect log
git submodule status
git worktree list
git worktree add /tmp/elsewhere
git clone ../other /tmp/other
git lfs ls-files
git rebase main
git checkout -h
cd docs && rm x.md
cd docs || exit 1; rm x.md
set -euo pipefail; cd docs; rm x.md
(cd src/parser; ls); rm docs/x.md
git commit -m "$(cat <<'EOF'⏎it's rm src/parser/a.py⏎EOF⏎)" && git push
git commit -m "it's (a) thing"
git restore 'docs/*.md'
git pull --rebase
echo docs/x.md | xargs rm
fd -e py
fd -e py -x cat
python3.11 -c 'print(1)'
trap 'rm docs/x.md' EXIT
echo $"hello"
echo 'ls' | sh
gcc -c src/parser/a.c
echo ${x:-src/parser} "${y:-$(ls src/parser)}"
echo ${#x} ${x%%.py} $((i + 1))
echo $((1+$(wc -l < src/parser/a.py)))
alias ll='ls -l'; ll src/parser
alias ls='ls -l'; ls src/parser
curl -O --output-dir docs http://localhost/a.py
curl -O --output-dir /tmp http://localhost/src/parser/a.py
ex -s docs/x.md
vim -s keys docs/x.md
php -r 'echo file_get_contents("src/parser/a.py");'
php -r 'echo str_replace("a", "b", "w");'
python -c 'x = [1]; y = x.copy(); print(y)'
rm -rf ~+/docs
docker cp src/parser/a.py c:/x
docker cp c:/x docs/
docker ps -a
docker compose up -d
kubectl get pods -n main
git diff --output=docs/x.md
env -C docs rm x.md
env -C src ls
sudo -D docs rm x.md
uv run pytest src/parser
uv run ruff check src
uv sync
uvx ruff check .
npx prettier --check .
npx prettier --write "docs/**/*.md" "!src/**"
prettier --write "docs/*.{md,txt}"
npx jscodeshift -t src/parser/a.py "docs/**/*.ts"
npx tsc --noEmit
npm run build
npm install
pnpm exec vitest run
yarn test
yarn build
python -m pytest
python -m http.server
python src/parser/a.py
python -c 'import sys; print(sys.version)'
python -c 'print("a b".replace("a", "b"))'
python -c 'print(open("src/parser/a.py").read())'
python3 -c "import json; print(json.load(open('package.json'))['version'])"
node -e "console.log(1 > 2)"
perl -e 'print 1 > 2'
cargo test
cargo fmt --check
cargo +nightly fmt -- --check
cargo clippy
cargo-fmt --check
golangci-lint run
markdownlint .
mdformat --check .
swiftlint
swift build
swift-format lint -r src
clang-tidy src/parser/a.c
ruff check
ast-grep -p a src
sg run -p a -r b
bun run build
bun test
pnpm build
pnpm install
pnpm test
npm run lint
npm run build -- --prod
uv tool run ruff check
deno eval 'console.log(1)'
deno lint
deno fmt --check
pwsh -Command "Get-Content src/parser/a.py"
yarn install
go test ./...
go mod download
terraform plan
biome check
eslint src
awk '$1 > 5' src/parser/a.py
awk '{print $1}' src/parser/a.py
awk '$2 > 3 {print $1}' src/parser/a.py
awk '{print > "docs/out"}' src/parser/a.py
sed -n '/w x/p' src/parser/a.py
sed -n 's/new file/old/p' src/parser/a.py
sed -n 'w docs/out' src/parser/a.py
scp src/parser/a.py host:x
scp host:x docs/
7z l a.7z
7z x -odocs a.7z
cpio -o < list
ar t a.a
split docs/x.md docs/part
watch git status
flock /tmp/lock ls src/parser
vim -es -c 'wq' docs/x.md
cat <<'EOF'⏎$(rm src/parser/a.py)⏎EOF
cat <<\EOF⏎`rm src/parser/a.py`⏎EOF
cat <<EOF⏎\$(rm src/parser/a.py) $((1 > 2))⏎EOF
true
"""

VARIABLE_WRITES = r"""
F=src/parser/a.py; if a; then if b; then F=f; else F=g; fi; fi; rm $F
F=src/parser/a.py; while a; do if b; then break; fi; F=f; done; rm $F
F=; while :; do F=src/parser/a.py; [ c ] && break; F=f; done; rm $F
F=; a && F=src/parser/a.py && b && F=f; rm $F
F=src/parser/a.py; if a; then F=f; elif b; then F=g; fi; rm $F
F=src/parser/a.py; echo | F=f; rm $F
F=src/parser/a.py; cat <(F=f); rm $F
F=f; read -r F <<< src/parser/a.py; rm $F
F=f; IFS= read -r F; rm $F
F=f; command read F; rm $F
F=f; X=F; read $X; rm $F
F=f; x=$((F=3)); rm $F
F=f; echo ${F:=x}; rm $F
F=f; if . ./env; then rm $F; fi
F=f; f() { read F; }; f; rm $F
F=f; a() { F=src/parser/a.py; }; b() { a; }; b; rm $F
F=f⏎g()⏎{⏎F=src/parser/a.py⏎}⏎g⏎rm $F
F=f; G=src/parser/a.py F=$G; rm $F
D=src; false && D=docs; cd $D; rm parser/a.py
D=src; false && D=docs; cp a $D/parser
D=src; false && D=docs; rm -rf $D/parser/a.py
D=src/parser/a.py; false && D=docs; sed -i s/a/b/ $D
D=src/parser/a.py; false && D=docs; echo "a" > "$D"
D=src/parser/a.py; false && D=docs; mv $D z
D=src/parser/a.py; false && D=docs; git restore $D
D=src/parser/a.py; false && D=docs; sh -c "rm $D"
D=src/parser/a.py; false && D=docs; echo $D | xargs rm
D=src/parser/a.py; false && D=docs; find $D -delete
until F=src/parser/a.py; do F=f; done; rm $F
time F=src/parser/a.py; rm $F
{ F=src/parser/a.py; }; rm $F
F=f; { F=src/parser/a.py; } && rm $F
F=f; F=src/parser/a.py || F=g; rm $F
A=(f src/parser/a.py); rm ${A[1]}
A=(f src/parser/a.py); for a in ${A[@]}; do rm $a; done
cp -s src q; echo > q/parser/a.py
TMPDIR=src; echo > $TMPDIR/parser/a.py
export TMPDIR=src; T=$(mktemp -d); rm -rf $T
export HOME=$PWD/src; sh -c 'rm ~/parser/a.py'
export HOME=$PWD/src; echo $(rm ~/parser/a.py)
if F=src/parser/a.py; then rm $F; fi
function g() { F=src/parser/a.py; }; F=f; g; rm $F
F=f; g() (rm $F); F=src/parser/a.py; g
F=src/parser/a.py; true & F=src/parser/a.py; rm $F
F=src/parser/a.py; (true && F=f) && rm $F
F=src/parser/a.py; ((1)) && F=f; rm $F
F=src/parser/a.py; [[ a ]] && F=f; rm $F
F=src/parser/a.py; [[ a ]] || { F=f; }; rm $F
F=src/parser/a.py; a && { b || F=f; }; rm $F
F=src; F+=/parser/a.py; echo > $F
F=src/parser/a.py; false && F=f; rm $F
F=src/parser/a.py; if false; then F=f; fi; rm $F
F=src/parser/a.py; F=f true; rm $F
F=src/parser/a.py; (F=f); rm $F
F=src/parser/a.py; echo $(F=f); rm $F
F=src/parser/a.py; F=f | cat; rm $F
F=src/parser/a.py; F=f & rm $F
F=src/parser/a.py; { F=f; } | cat; rm $F
F=f; while read F; do rm $F; done < list
F=f; printf -v F %s src/parser/a.py; rm $F
F=f; . ./env; rm $F
F=f; source ./env; rm $F
F=f; eval F=src/parser/a.py; rm $F
F=f; : ${F:=src/parser/a.py}; rm $F
F=f; read F < list; rm $F
F=f; mapfile -t F < list; rm $F
F=f; declare F=src/parser/a.py; rm $F
F=f; export F=src/parser/a.py; rm $F
F=f; declare -n F=G; G=src/parser/a.py; rm $F
readonly F=src/parser/a.py; F=f; rm $F
F=f; let F=3; rm $F
F=1; ((F=2)); rm src/parser/$F
for F in a b src/parser/a.py; do rm $F; done
F=f; select F in a; do rm $F; done
F=f; while getopts a F; do rm $F; done
F=f; F=(src/parser/a.py); rm $F
F=f; F[0]=src/parser/a.py; rm $F
F=src/parser/a.py; case $y in a) F=f;; esac; rm $F
F=src/parser/a.py; case $y in a) F=f;; *) F=g; esac; F=src/parser/a.py; rm $F
F=src/parser/a.py; true || F=f; rm $F
F=src/parser/a.py; true || F=f && rm $F
F=f; g() { F=src/parser/a.py; }; g; rm $F
F=f; g() { rm $F; }; F=src/parser/a.py; g
F=src/parser/a.py; g() { F=f; }; rm $F
F=f; trap 'F=src/parser/a.py' DEBUG; rm $F
F=f; for i in 1 2; do rm $F; F=src/parser/a.py; done
F=src/parser/a.py; for i in $(ls); do F=f; done; rm $F
HOME=$PWD/src; rm ~/parser/a.py
HOME=$PWD/src; cd; rm parser/a.py
CDPATH=src; cd parser; rm a.py
CDPATH=src cd parser; rm a.py
cd src; cd docs; cd -; rm parser/a.py
IFS=:; F=a:src/parser/a.py; rm $F
X=ls; false && X=rm; $X src/parser/a.py
S=; [ x ] && S=sudo; $S rm src/parser/a.py
E=; $E rm src/parser/a.py
V=status; false && V=rm; git $V src/parser/a.py
F=src/parser/a.py; env F=f true; rm $F
O=-n; [ m ] && O=-i; sed $O s/a/b/ src/parser/a.py
(case x in a) ls;; esac; F=f); rm $F
F=src/parser/a.py; (case x in a) ls;; esac; F=f); rm $F
F=src/parser/a.py; false && { F=f; G=g; }; rm $F
ln -s src q && echo a > q/parser/a.py
ln -s src q; cd q; rm parser/a.py
ln -s src q; rm q*/parser/a.py
ln -s src/parser/a.py; echo > a.py
ln src/parser/a.py q; echo > q
fish -c 'rm src/parser/a.py'
rm src/p$((1+1)).py
function g { rm $F; }; F=src/parser/a.py; g
npx rimraf src
npx --yes rimraf@5 src/parser
npx rimraf 'src/**'
bunx rimraf src
pnpm dlx rimraf src
yarn dlx rimraf src
npx shx rm -rf src
npx del-cli src
git bisect run make
git submodule foreach 'rm a'
git submodule update src/parser
git lfs migrate import
git checkout :/
run() { echo "+ $*"; "$@"; }; run sed -i s/x/y/ src/parser/a.py
retry() { for i in 1 2 3; do "$@" && return 0; done; }; retry sed -i s/x/y/ src/parser/a.py
retry() { local n=$1; shift; until "$@"; do n=$((n-1)); done; }; retry 3 rm src/parser/a.py
run() { while [ $# -gt 1 ]; do shift; done; rm $1; }; run -v src/parser/a.py
run() { $@; }; run rm src/parser/a.py
run() { sudo "$@"; }; run rm src/parser/a.py
run() { eval "$*"; }; run rm src/parser/a.py
run() { out=$("$@"); }; run rm src/parser/a.py
run() ( "$@" ); run rm src/parser/a.py
function run { "$@"; }; run rm src/parser/a.py
function run() { "$@"; }; run rm src/parser/a.py
run()⏎{⏎  "$@"⏎}⏎run rm src/parser/a.py
run() { if ! "$@"; then echo no; fi; }; cd src; run rm parser/a.py
run() { "${@:2}"; }; run now rm src/parser/a.py
run() { local cmd=("$@"); "${cmd[@]}"; }; run rm src/parser/a.py
a() { "$@"; }; b() { a "$@"; }; b rm src/parser/a.py
edit() { sed -i "$1" "$2"; }; edit s/x/y/ src/parser/a.py
cmd=(sed -i s/x/y/ src/parser/a.py); "${cmd[@]}"
cmd=(sed -i s/x/y/); cmd+=(src/parser/a.py); "${cmd[@]}"
cmd=(echo rm src/parser/a.py); ${cmd[@]:1}
declare -a cmd=(rm src/parser/a.py); "${cmd[@]}"
cmd=(rm); [ x ] && cmd+=(src/parser/a.py); "${cmd[@]}"
cmd=(ls); [ x ] && cmd=(rm src/parser/a.py); "${cmd[@]}"
cmd=(ls); read -ra cmd < list; "${cmd[@]}"
cmd="rm -f src/parser/a.py"; $cmd
cmd="rm -f src/parser/a.py"; sudo $cmd
cmd="rm -f"; $cmd src/parser/a.py
cmd="ls docs"; [ x ] && cmd="rm -f src/parser/a.py"; $cmd
cmd="rm $X"; $cmd
F="docs/x.md src/parser/a.py"; rm $F
F="src/p*"; rm -r $F
set -- rm -f src/parser/a.py; "$@"
set -- docs/x.md src/parser/a.py; rm "$2"
set -- rm src/parser/a.py; [ x ] && set -- ls; "$@"
set -- -v rm src/parser/a.py; while [ x ]; do shift; done; "$@"
sh -c '"$@"' _ rm src/parser/a.py
bash -c 'rm "$1"' _ src/parser/a.py
bash -c 'echo rm src/parser/a.py' | sh
cat > fix.py <<'EOF'⏎open('src/parser/a.py', 'w').write('x')⏎EOF⏎python3 fix.py
cat > /tmp/fix.py <<'EOF'⏎open('src/parser/a.py', 'w').write('x')⏎EOF⏎python3 /tmp/fix.py && rm /tmp/fix.py
cat > fix.sh <<'EOF'⏎rm src/parser/a.py⏎EOF⏎bash fix.sh
cat > fix.sh <<'EOF'⏎rm "$1"⏎EOF⏎bash fix.sh src/parser/a.py
cat > fix.sh <<'EOF'⏎#!/bin/sh⏎rm src/parser/a.py⏎EOF⏎chmod +x fix.sh && ./fix.sh
cat > fix <<'EOF'⏎#!/usr/bin/env python3⏎open('src/parser/a.py', 'w')⏎EOF⏎chmod +x fix; ./fix
cat > t.mjs <<'EOF'⏎import { writeFileSync } from 'fs'; writeFileSync('src/parser/a.py', '')⏎EOF⏎node t.mjs
cat > t.ts <<'EOF'⏎writeFileSync('src/parser/a.py', '')⏎EOF⏎npx tsx t.ts
tee ed.sh <<'EOF' && sh ed.sh⏎rm src/parser/a.py⏎EOF
echo 'rm src/parser/a.py' > ed.sh; source ed.sh
echo 'rm src/parser/a.py' > ed.sh; cat ed.sh | sh
echo 'cd src' > ed.sh; echo 'rm parser/a.py' >> ed.sh; cat ed.sh | sh
printf 'rm %s\n' src/parser/a.py > ed.sh && . ./ed.sh
cd docs && echo 'rm ../src/parser/a.py' > ed.sh && sh ./ed.sh
{ echo 'rm src/parser/a.py'; } > ed.sh; sh ed.sh
uv run fix.py <<E; python fix.py⏎E⏎cat > fix.py <<'EOF'; uv run fix.py⏎open('src/parser/a.py', 'w')⏎EOF
python -c "from pathlib import Path; Path('b.py').replace('src/parser/a.py')"
printf 'open("src/parser/a.py", "w")' | python3
printf '%s\n' 'import os' 'os.remove("src/parser/a.py")' | python3
{ echo 'import os'; echo 'os.remove("src/parser/a.py")'; } | python3
( echo 'import os'; echo 'os.remove("src/parser/a.py")' ) | python3
echo -e 'rm src/parser/a.py\n' | sh
echo -n 'rm src/parser/a.py' | sh
printf '%s %s\n' rm src/parser/a.py | sh
{ echo ls; cat list; } | sh
source /dev/stdin <<'EOF'⏎rm src/parser/a.py⏎EOF
echo 'rm src/parser/a.py' > ed.sh; bash < ed.sh
cat > a.diff <<'EOF'⏎--- a/src/parser/a.py⏎+++ b/src/parser/a.py⏎EOF⏎patch -p1 < a.diff
python3 -c "$(cat <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF⏎)"
uv run python -c "$(cat <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF⏎)"
node -e "$(cat <<'EOF'⏎require('fs').writeFileSync('src/parser/a.py', '')⏎EOF⏎)"
ruby -e "$(cat <<'EOF'⏎File.write('src/parser/a.py', 'x')⏎EOF⏎)"
perl -e "$(cat <<'EOF'⏎unlink 'src/parser/a.py'⏎EOF⏎)"
python3 -c "`cat <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF⏎`"
python3 -c "$(printf '%s\n' 'import os' 'os.remove("src/parser/a.py")')"
python3 -c "import sys; $(echo 'open("src/parser/a.py", "w")')"
python3 -c "$(cat fix.py)"
python3 -c "$CODE"
SCRIPT='⏎p = "src/parser/a.py"⏎open(p, "w").write("x")⏎'⏎python3 -c "$SCRIPT"
SCRIPT='print(1)'; [ x ] && SCRIPT='open("src/parser/a.py", "w")  # x'; python3 -c "$SCRIPT"
CODE=$(cat <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF⏎)⏎python3 -c "$CODE"
CODE="$(cat <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF⏎)"; echo "$CODE" | python3 -
read -r -d '' CODE <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF⏎python3 -c "$CODE"
read -r -d '' CODE <<'EOF' || true⏎open('src/parser/a.py','w').write('x')⏎EOF⏎python3 -c "$CODE"
python3 <<< "$(cat <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF⏎)"
python3 - <<< "$CODE"
bash <<< "$(cat <<'EOF'⏎rm src/parser/a.py⏎EOF⏎)"
echo "$(cat <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF⏎)" | python3
echo "$(cat <<EOF⏎$COMMAND⏎EOF⏎)" | sh
python3 <(cat <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF⏎)
python3 <(curl http://localhost/x)
{ python3 -; } <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF
{ echo a; { python3; }; } <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF
(python3 -) <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF
(cd src && sh) <<'EOF'⏎rm parser/a.py⏎EOF
{ bash -s; } <<'EOF'⏎rm src/parser/a.py⏎EOF
run() { python3 - "$@"; }⏎run <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF
run() { python3 -; }; run now <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF
run()⏎{⏎  uv run python -⏎}⏎run <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF
${PYTHON:-python3} - <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF
"$PYTHON" <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF
$(which python3) -c "open('src/parser/a.py','w')"
${PYTHON:-python3} -c "$(cat <<'EOF'⏎open('src/parser/a.py','w')⏎EOF⏎)"
uv run - <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF
yarn workspace web eslint --fix src
yarn workspace web run eslint --fix src
yarn workspace web exec prettier --write src
npm run lint -w web -- --fix
npm run lint --workspace=web -- --fix
npm run lint --workspaces -- --fix
npm -w web run lint -- --fix
npm exec -w web -- prettier --write .
npm run lint --prefix src/parser -- --fix
npm run lint:js -- --fix
yarn lint:js --fix
npx -w web eslint --fix .
npx --workspace=web eslint --fix docs
pnpm --filter web exec eslint --fix docs
pnpm -r exec prettier --write docs
npx turbo run lint -- --fix
turbo lint --filter=web -- --fix
npx nx run-many -t lint --fix
npx nx format:write
npx lerna exec -- prettier --write .
npx lerna run lint -- --fix
docker compose exec -T web npx prettier --write .
docker exec web black .
docker run --rm -v .:/app node npx eslint --fix .
docker-compose run web ruff format
uv pip compile requirements.in -o src/parser/requirements.txt
uv export -o src/parser/requirements.txt
uv export --output-file=src/parser/requirements.txt
pip-compile src/parser/requirements.in
pip-compile -o src/parser/requirements.txt requirements.in
node -pe "require('fs').writeFileSync('src/parser/a.py', '')"
node -p -e "require('fs').writeFileSync('src/parser/a.py', '')"
gh pr checkout 3
uv run --with requests - <<'EOF'⏎open('src/parser/a.py','w').write('x')⏎EOF
"""

VARIABLE_READS = r"""
set -e⏎VERSION=$(cat v)⏎mkdir -p dist/$VERSION⏎cp a dist/$VERSION/
OUT=build/out⏎for f in a b c; do⏎  name=${f%.c}⏎  gcc -c $f -o $OUT/$name.o⏎done
if [ -z "$X" ]; then⏎ X=docs/a⏎elif [ b ]; then⏎ X=docs/b⏎else⏎ X=docs/c⏎fi⏎cp x $X
case "$(uname)" in⏎ Linux) BIN=build/l;;⏎ Darwin) BIN=build/m;;⏎ *) BIN=build/x;;⏎esac⏎cp a $BIN
fail() { echo "$1" >&2; exit 1; }⏎D=docs⏎[ -d $D ] || fail no⏎cp a $D/x
count=0; while read -r l; do count=$((count+1)); done < docs/x; echo $count > docs/n
LOG=/tmp/log; npm test > $LOG 2>&1 || tail $LOG
LOG=/tmp/log; (npm test > $LOG 2>&1; echo $?) && cat $LOG | head > $LOG.2
DIR=build && rm -rf "$DIR" && mkdir "$DIR"
PORT=8080 node s.js > /tmp/o & PID=$!; sleep 1; kill $PID
for i in 1 2 3; do curl -s -o docs/r$i.txt http://x/$i; done
for i in $(seq 3); do curl -s -o docs/r$i.txt http://x/$i; done
ts=$(date +%s); cp a docs/b-$ts
f=docs/a; g=docs/b; mv "$f" "$g"; ln -sfn ../a docs/cur; ls docs/cur
export A=1 B=2; make -j$(nproc)
S=$(mktemp); trap 'echo bye' EXIT; cat x > $S
git log | while read h rest; do echo $h; done > /tmp/x
set -- a b; for f in "$@"; do echo $f; done
A=docs; for d in $A/*; do echo > /tmp/x; done
alias ll=ls; F=docs/x; ll $F > $F
diff <(ls a) <(ls b) > /tmp/d
printf '%s\n' x > docs/x; printf -v S '%s' y; echo $S
for f in a b; do echo $f; done
V=$(git rev-parse HEAD); echo $V
DIR=build; mkdir -p $DIR; cp x $DIR/
export PATH=$PATH:/x
FOO=1 make
mkdir -p build && OUT=build/x && cp a $OUT
for f in a b; do out=build/$f; cp $f $out; done
if [ -d x ]; then D=build; else D=dist; fi; cp a $D
case $1 in a) D=build;; *) D=dist;; esac; cp a $D/x
D=build; [ -n "$X" ] && D=dist; rm -rf $D
log() { echo $1; }; D=build; log hi; mkdir $D; cp x $D/
main() { local d=build; mkdir $d; cp x $d/; }; main
i=0; while [ $i -lt 3 ]; do i=$((i+1)); echo $i; done
while IFS= read -r line; do echo "$line"; done < list
D=docs; for i in 1 2; do cp x $D/a; done; D=dist; rm -rf $D
T=$(mktemp -d); cp a $T; rm -rf $T
D=build; V=$(cat a > $D/x); echo $V
S=; [ x ] && S=sudo; $S apt install x
ln -sf ../a b; ls b; rm b
ln -s a b && echo x > c; rm *.txt
A=(1 2 3); echo ${A[@]}; echo > docs/y
D=build; for ((i=0;i<3;i++)); do cp a $D/x; done
set -e; D=build; cp x $D
D=build; source .venv/bin/activate; D=out; cp x $D/y
F=x; { F=docs/y; }; rm $F
cd docs && D=build && (cd a; rm b) && rm $D
O=; [ x ] && O=-v; pytest $O
git worktree remove docs/tree
git cherry-pick --abort
git revert --abort
git bisect start
git bisect start HEAD v1
git bisect good
git bisect bad
git bisect reset
git submodule update --init
git submodule update --init docs/lib
git lfs pull
npx rimraf dist
npx shx rm -rf build
fish -c 'ls src'
run() { echo "+ $*"; "$@"; }; run pytest src/parser
retry() { for i in 1 2 3; do "$@" && return 0; done; }; retry cat src/parser/a.py
run() { "$@"; }; run rm docs/x.md; ls src/parser
run() { "$@"; }; "$@"
run() { local cmd=("$@"); "${cmd[@]}"; }; run ls src/parser
walk() { for f in "$1"/*; do [ -d "$f" ] && walk "$f"; done; }; walk src
die() { echo "$@" >&2; exit 1; }; die rm src/parser/a.py
cmd=(pytest -q src/parser); "${cmd[@]}"
cmd=(pytest); [ x ] && cmd+=(-v); "${cmd[@]}"
args=(); for f in a b; do args+=("$f"); done; pytest "${args[@]}"
cmd="pytest -q src/parser"; $cmd
CFLAGS="-O2 -Wall"; gcc $CFLAGS -c src/parser/a.c -o docs/a.o
F="docs/x.md docs/y.md"; rm $F
set -- rm docs/x.md; "$@"
cat > fix.py <<'EOF'⏎print(open('src/parser/a.py').read())⏎EOF⏎python3 fix.py
cat > fix.sh <<'EOF'⏎cat src/parser/a.py⏎EOF⏎bash fix.sh
cat > docs/x.sh <<'EOF'⏎rm src/parser/a.py⏎EOF⏎cat docs/x.sh; bash -n other.sh
cat > fix.py <<'EOF'⏎open('src/parser/a.py', 'w')⏎EOF⏎cat fix.py; python3 other.py
python -c "from pathlib import Path; print(Path('b.py').name.replace('.py', '.md'))"
printf '%s\n' 'ls src/parser' | sh
{ echo 'import os'; echo 'print(os.sep)'; } | python3
{ echo ls; echo pwd; } | sh
echo 'ls src/parser' > ed.sh; bash < ed.sh
cat > a.diff <<'EOF'⏎--- a/docs/x.md⏎+++ b/docs/x.md⏎EOF⏎patch -p1 < a.diff
set -- docs/x.md src/parser; rm "$1"; ls "$2"
sh -c 'rm "$1"' _ docs/x.md
python3 -c "$(cat <<'EOF'⏎print(open('src/parser/a.py').read())⏎EOF⏎)"
node -e "$(cat <<'EOF'⏎console.log(1 > 2)⏎EOF⏎)" < src/parser/a.py
SCRIPT='⏎p = "src/parser/a.py"⏎print(open(p).read())⏎'⏎python3 -c "$SCRIPT"
CODE=$(cat <<'EOF'⏎print(open('src/parser/a.py').read())⏎EOF⏎)⏎python3 -c "$CODE"
read -r -d '' CODE <<'EOF'⏎print(open('src/parser/a.py').read())⏎EOF⏎python3 -c "$CODE"
python3 <<< "$(cat <<'EOF'⏎print(1)⏎EOF⏎)"
python3 <(cat <<'EOF'⏎print(1)⏎EOF⏎)
python3 -c "import sys; print('$NAME')"
python3 -c "print(1)" "$X" <<< "$X"
python3 tool.py <(ls src/parser)
py() { python3 -c "$1"; }; py 'print(1)'
git commit -m "$(cat <<'EOF'⏎Write with open('src/parser/a.py', 'w')⏎EOF⏎)"
{ python3 -; } <<'EOF'⏎print(open('src/parser/a.py').read())⏎EOF
(python3 -) <<'EOF'⏎print(1)⏎EOF
run() { python3 - "$@"; }⏎run src/parser/a.py <<'EOF'⏎print(1)⏎EOF
{ cat; } <<'EOF'⏎open('src/parser/a.py','w')⏎EOF
{ python3 fix.py; cat; } <<'EOF'⏎open('src/parser/a.py','w')⏎EOF
{ python3 -; } < docs/x.md; cat <<'EOF'⏎open('src/parser/a.py','w')⏎EOF
${PYTHON:-python3} - <<'EOF'⏎print(1)⏎EOF
$(which python3) -c "print(1)"
$CC --version; $PYTHON -c 'print(1)'
uv run - <<'EOF'⏎print(1)⏎EOF
uv pip compile src/parser/requirements.in -o docs/requirements.txt
uv export
pip-compile requirements.in
node -pe 'process.version'
node -p -e '1 > 2'
gh pr view 3
yarn workspace web eslint src
yarn workspace web test
yarn workspace web add react
npm run lint -w web
npm run lint --workspace=web -- --quiet
npm run lint --prefix docs -- --fix
npm run lint:js
npm run lint:fix
npx -w web eslint .
npm exec -w web -- rimraf dist
pnpm --filter web exec eslint docs
pnpm --filter web build
npx turbo run lint
npx turbo run build --filter=web
npx nx run-many -t lint
npx lerna exec -- prettier --check .
docker compose exec -T web npx prettier --check .
docker compose exec web pytest src/parser
docker run --rm -it python python -c 'print(1)'
docker compose up lint
"""


def commands(table: str) -> list[str]:
    return [line.replace("⏎", "\n") for line in table.strip().split("\n")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = repository(tmp_path_factory.mktemp("shell") / "project")
    for name in ("src/parser/a.py", "src/other.py", "docs/x.md", "lib/y.py"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("x\n")
    (home / "link").symlink_to("src/parser")
    return home


def stopped(writes: WriteSet, home: Path, lock: str = LOCK) -> bool:
    request = find_repository_paths(writes, str(home), str(home)) or GuardEdit()
    return bool(
        request.unresolved
        or any(paths.holds(lock, file_names.decode(name)) for name in request.files)
        or any(paths.holds_below(lock, file_names.decode(name)) for name in request.folders)
        or any(paths.may_conflict(lock, glob) for glob in request.globs)
    )


@pytest.mark.parametrize("command", [*commands(WRITES), *commands(VARIABLE_WRITES)])
def test_a_command_that_may_write_what_is_locked_is_stopped(home: Path, command: str) -> None:
    assert stopped(writes_of_command(command), home)


@pytest.mark.parametrize("command", [*commands(READS), *commands(VARIABLE_READS)])
def test_any_other_command_is_let_through(home: Path, command: str) -> None:
    assert not stopped(writes_of_command(command), home)


def test_the_table_is_large() -> None:
    assert len(commands(WRITES)) + len(commands(READS)) > 200


def test_a_linked_work_tree_is_its_owners_own(home: Path, tmp_path: Path) -> None:
    """Git may rewrite it as a whole; but a file in it is the same file as elsewhere."""
    git(home, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    switch = find_repository_paths(writes_of_command("git switch main"), str(tmp_path / "linked"), str(home))
    assert switch is None
    remove = find_repository_paths(
        writes_of_command("rm src/parser/a.py"), str(tmp_path / "linked"), str(home)
    )
    assert remove is not None
    assert remove.folders == ("src/parser/a.py",)


@pytest.mark.parametrize(
    "command", ["git checkout .", "git restore .", "git checkout -- .", "git checkout :/"]
)
def test_the_whole_of_a_linked_work_tree_may_be_restored(home: Path, tmp_path: Path, command: str) -> None:
    linked = tmp_path / "linked"
    git(home, "worktree", "add", "-q", "--detach", str(linked))
    assert find_repository_paths(writes_of_command(command), str(linked), str(home)) is None
    assert stopped(writes_of_command(command), home)
    file = find_repository_paths(writes_of_command("git restore src/parser/a.py"), str(linked), str(home))
    assert file is not None


def test_a_linked_work_tree_may_be_removed(home: Path, tmp_path: Path) -> None:
    git(home, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    assert not stopped(writes_of_command(f"git worktree remove {tmp_path / 'linked'}"), home)
    assert stopped(writes_of_command(f"rm -rf {tmp_path / 'linked'}"), home)


def test_an_update_of_submodules_writes_their_folders(tmp_path: Path) -> None:
    home = repository(tmp_path / "project")
    writes = writes_of_command("git submodule update --init --recursive")
    assert find_repository_paths(writes, str(home), str(home)) is None
    (home / ".gitmodules").write_text('[submodule "a"]\n\tpath = src/parser\n\turl = ../a\n')
    request = find_repository_paths(writes, str(home), str(home))
    assert request is not None
    assert request.folders == ("src/parser",)
    assert stopped(writes, home)


MANIFESTS = [
    ("package.json", "npm install foo"),
    ("package.json", "npm i -D foo"),
    ("package.json", "npm version patch"),
    ("package.json", "npm pkg set a=b"),
    ("package.json", "npm init -y"),
    ("package.json", "cd src && npm uninstall foo"),
    ("package.json", "yarn add foo"),
    ("package.json", "pnpm add -D foo"),
    ("package.json", "bun add foo"),
    ("package.json", "npx npm-check-updates -u"),
    ("package-lock.json", "npm install"),
    ("package-lock.json", "npm --prefix . update"),
    ("yarn.lock", "yarn remove foo"),
    ("pnpm-lock.yaml", "cd src; pnpm up foo"),
    ("pyproject.toml", "uv add foo"),
    ("pyproject.toml", "poetry add foo"),
    ("pyproject.toml", "cd src && poetry version 1.2"),
    ("uv.lock", "uv lock"),
    ("uv.lock", "uv remove foo"),
    ("Cargo.toml", "cargo add foo"),
    ("Cargo.toml", "cargo +nightly add foo --manifest-path Cargo.toml"),
    ("Cargo.lock", "cargo update"),
    ("go.mod", "go get foo"),
]
MANIFEST_READS = [
    ("package.json", "npm install"),
    ("package.json", "npm install -g foo"),
    ("package.json", "npm pkg get version"),
    ("package.json", "npm version"),
    ("package.json", "npm run build"),
    ("package.json", "npm --prefix docs install foo"),
    ("package-lock.json", "npm ci"),
    ("yarn.lock", "yarn install --frozen-lockfile"),
    ("pyproject.toml", "uv pip install foo"),
    ("pyproject.toml", "uv run pytest"),
    ("uv.lock", "uv sync --locked"),
    ("pyproject.toml", "poetry version"),
    ("poetry.lock", "poetry install"),
    ("Cargo.toml", "cargo build"),
    ("Cargo.lock", "cargo test"),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = repository(tmp_path_factory.mktemp("packages") / "project")
    for name in {name for name, _ in MANIFESTS} | {"src/a.py", "docs/package.json"}:
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("x\n")
    return project


@pytest.mark.parametrize(("manifest", "command"), MANIFESTS)
def test_a_package_manager_that_writes_its_manifest_is_stopped(
    project: Path, manifest: str, command: str
) -> None:
    assert stopped(writes_of_command(command), project, manifest)


@pytest.mark.parametrize(("manifest", "command"), MANIFEST_READS)
def test_a_package_manager_that_writes_no_manifest_is_let_through(
    project: Path, manifest: str, command: str
) -> None:
    assert not stopped(writes_of_command(command), project, manifest)


# -- bounds ----------------------------------------------------------------------------------------


def test_up_to_the_bound_of_characters_it_is_read_and_past_it_it_is_anything() -> None:
    inside = "echo ".ljust(SHELL_CHARS_MAX - 20, "x") + "; rm src/parser/a.py"
    assert len(inside) == SHELL_CHARS_MAX
    assert writes_of_command(inside) == WriteSet(writes_of_command("rm src/parser/a.py").targets)
    assert "characters" in writes_of_command(inside + " ").unresolved


def test_up_to_the_bound_of_programs_each_counts_and_past_it_it_is_anything() -> None:
    steps = ["true"] * (SHELL_PROGRAMS_MAX - 1)
    assert writes_of_command("; ".join([*steps, "rm x"])) == writes_of_command("rm x")
    assert "programs" in writes_of_command("; ".join([*steps, "true", "true", "rm x"])).unresolved


@pytest.mark.parametrize(
    "text", ["find . -exec ", "env find . -exec ", "xargs find . -exec ", "sudo ", "env -C a "]
)
def test_programs_in_programs_take_few_steps(text: str) -> None:
    small, large = (steps_of(text * count + "rm x") for count in (50, 100))
    assert large < 4 * small + 2_000


def test_up_to_the_bound_of_folders_each_counts_and_past_it_it_is_anything() -> None:
    doublings = SHELL_FOLDERS_MAX.bit_length() - 1
    assert 1 << doublings == SHELL_FOLDERS_MAX
    steps = [f"cd d{number}" for number in range(doublings + 1)]
    inside = writes_of_command("; ".join([*steps[:-1], "rm x"]))
    assert (len(inside.targets), inside.unresolved) == (SHELL_FOLDERS_MAX, "")
    assert "folder" in writes_of_command("; ".join([*steps, "rm x"])).unresolved


def test_up_to_the_bound_of_paths_each_counts_and_past_it_it_is_anything(home: Path) -> None:
    files = [f"*** Update File: docs/{number}.md" for number in range(EDITED_PATHS_MAX - 1)]
    writes = writes_of_patch("\n".join([*files, "*** Update File: src/parser/last.py"]))
    assert not writes.unresolved
    assert stopped(writes, home)
    assert (
        "more than" in writes_of_patch("\n".join([*files, "*** Add File: a", "*** Add File: b"])).unresolved
    )


def test_a_patch_is_read_to_its_end(home: Path) -> None:
    text = "*** Begin Patch\n*** Update File: docs/x.md\n" + "+text\n" * 100_000
    assert stopped(writes_of_patch(text + "*** Update File: src/parser/a.py\n"), home)
    assert not stopped(writes_of_patch(text), home)


def test_a_patch_that_names_no_file_is_anything() -> None:
    assert writes_of_patch("whatever").unresolved


def test_names_that_git_quotes() -> None:
    diff = '--- "a/src/\\303\\244\\377.py"\n+++ "b/src/t\\tb.py"\nrename from old name\nrename to new\n'
    assert writes_of_patch(diff).paths == ("src/ä\udcff.py", "src/t\tb.py", "old name", "new")


def test_commands_in_commands_up_to_the_bound() -> None:
    def nested(depth: int) -> str:
        return "$(" * depth + "rm a" + ")" * depth

    assert writes_of_command(nested(SHELL_DEPTH_MAX)).paths == ("a",)
    assert "deep" in writes_of_command(nested(SHELL_DEPTH_MAX + 1)).unresolved


# Texts that once took more steps than their length, or many: each is repeated without end.
REPEATED = r"""
env -C a |timeout 5 |env |chrt |taskset 1 |flock a |watch |time -o a |script -O a |su -c a |python -m
python -W a |npx |uvx |uv run |npm exec |env -S 'a|git -c a |git |xargs |xargs -I{} a{} |parallel a |fd -x
find . -exec |find . -name a |find . -exec a ; |tar |perl -e a |sed 'w a|awk '{print > a}' |python -c open
patch |apply_patch |trap a |eval |eval a;|<(|echo $(rm a);|`rm x`; |(rm x);|(cd a) |cd a;|cd a\|\||pushd a;
popd;|set -e;|a=b |if |export |function |a |a;|rm a |rm {a,b};|a{b,c}|a{|{a,|{ , }|{1..2}|$x|"$x|$((|${a:-$(
${a:-|$((1+$(|*($(|alias a=b;a;|~-/|~+/a |docker cp |curl --output-dir a -O |!(
`\`|$'|""|"a" |*(|a#|a>b |2>&1 |&>a |<<<a |<<-A |$(<<A |~|-I
"""
REPEATED_TEXTS = [part for line in REPEATED.strip().split("\n") for part in re.split(r"(?<!\\)\|", line)]
REPEATED_TEXTS += [
    *(
        "a=b;",
        "a+=b;",
        "a=b&&",
        "(a=b;",
        "{ a=b;",
        "f() { a=b;",
        "while read a;do a=b;",
        "ln a b;",
        "((a=1));",
    ),
    *(
        "case a in a) a=b;;",
        "if a;then a=b;else ",
        "a=b||",
        "for a in b;do ",
        "$((a=1))",
        "${a:=b}",
        "eval a;",
    ),
    *(
        'f() { "$@"; };f a;',
        "f() { f $1; g a; };g() { f $1; };f x;",
        "f() { rm $1;",
        "set -- a $@;",
        "set a b;shift;",
        "while a;do shift;",
        "a+=(b);",
        "a=(b c);${a[@]};",
        'a="b c";$a;',
        '"$*"',
    ),
]
LONG = {
    "tee": "| tee x " * 5_000,
    "line ends": "\n" * SHELL_CHARS_MAX,
    "substitutions": "$(" * 12_000 + "rm x" + ")" * 12_000,
    "deep in words": "$(" * SHELL_DEPTH_MAX + "true;" * 7_000 + ")" * SHELL_DEPTH_MAX,
    "xargs": "echo " + "a " * 4_000 + "| xargs -I{} rm " + "{} " * 4_000,
    "find": "find " + "a " * 9_000 + "-name b " * 2_000 + "-delete",
    "find -exec": "find . " + "a " * 9_000 + "-exec rm " + "{} " * 3_000 + ";",
    "folders": "cd a||cd b||cd c||cd d||" + "rm x " * 7_000,
    "braces": "rm " + "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b} " * 1_200,
    "values": "A={a,b}{a,b}{a,b}{a,b}{a,b}{a,b};" + "rm $A;" * 900,
    "homes": "A=;echo " + "$A" * 9_000 + "$HOME" * 4_000,
    "variables": "".join(f"a{number}=b;" for number in range(2_000)) + "$(a)" * 3_000,
    "loops": "".join(f"a{number}=b;" for number in range(500)) + "for x in y;do a;done;" * 1_000,
    "branches": "".join(f"if a;then b{number}=c;" for number in range(400)) + "fi;" * 400,
    "options": "A={-a,-b};cp " + "$A " * 9_000,
    "functions": "".join(f"f{number}() {{ f{number + 1} $@ $@; }};" for number in range(500)) + "f0 a " * 900,
    "parameters": "set -- " + "a " * 4_000 + ";" + 'rm "$@";' * 2_000,
    "arrays": "a=(" + "a " * 4_000 + ");" + 'a+=("${a[@]}");' * 1_000,
    "written": "echo a > b;sh b;" * 3_000,
    "appended": "echo 'sh b' >> b;sh b;" * 2_000,
    "formats": "printf '" + "%s" * 9_000 + "' " + "a " * 9_000 + "| sh",
    "groups": "{ echo a;" * 3_000 + "}" * 3_000 + "| sh",
    "awk": "awk '" + "print " * 6_000 + "'",
    "open": 'python -c "open' + "open'" * 7_000 + '"',
    "defaults": "${a:-" * 90 + "x$(a)" * 7_500 + "}" * 90,
    "many defaults": ("${a:-" * 60 + "}" * 60) * 110,
    "codes": "A='a b';" + 'A="$A $A";' * 3_000,
    "readers": "{ sh;" * 3_000 + "}<<<a;" * 3_000,
    "printed": 'a "$(echo ' * 4_000,
    "here-document": "cat <<A\n" + "$(a)" * 9_000 + "\nA\n",
}


@pytest.mark.parametrize("text", [*REPEATED_TEXTS, *LONG.values()], ids=[*REPEATED_TEXTS, *LONG])
def test_no_text_takes_many_steps_or_long(text: str) -> None:
    text = (text * SHELL_CHARS_MAX)[:SHELL_CHARS_MAX] if text in REPEATED_TEXTS else text
    assert steps_of(text) < 8 * SHELL_STEPS_MAX
    begun = time.process_time()
    writes_of_command(text)
    assert time.process_time() - begun < 0.5  # of some 0.02, where nothing else is done and collected


def test_past_the_bound_of_steps_it_is_anything() -> None:
    assert "steps" in writes_of_command("| tee x " * 5_000).unresolved


@pytest.mark.parametrize("end", ["EOF", "'EOF'"])
def test_a_long_here_document_is_read(end: str) -> None:
    lines = "def f(x): return g(x, [1, 2], {'a': \"b\"}) + x * 3  # f(x)\n" * 640
    assert 39_000 > len(lines) > 37_000
    writes = writes_of_command(f"cat > docs/x.md <<{end}\n{lines}EOF\nrm a")
    assert (writes.paths, writes.unresolved) == (("docs/x.md", "a"), "")


def test_a_command_with_as_many_paths_as_count_is_read() -> None:
    writes = writes_of_command(
        "rm -f " + " ".join(f"src/a/{number}.py" for number in range(EDITED_PATHS_MAX))
    )
    assert (len(writes.targets), writes.unresolved) == (EDITED_PATHS_MAX, "")


SIGNS = "' $( \"$( ` { {a,b} A=$A$A; (( \\ ${ [[ ( ) cd|a; echo|a;"
ENDLESS = [*SIGNS.split(" "), "<<A ", "xargs ", "sudo ", "sh -c "]


@pytest.mark.parametrize("text", ENDLESS)
def test_twice_the_text_takes_no_more_than_twice_the_steps(text: str) -> None:
    small, large = (steps_of((text * size)[:size]) for size in (500, 1_000))
    assert large < 2.3 * small + 1_000


def steps_of(command: str) -> int:
    """The calls that reading a command takes, those of built-in functions included."""
    steps = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal steps
        steps += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        writes_of_command(command)
    finally:
        sys.setprofile(None)
    return steps
