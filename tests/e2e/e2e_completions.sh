#!/bin/bash
# The completions, as they are installed, offer in each shell what --help lists for each command, and nothing else.
. "$(dirname "$0")/../support/scenario.sh"
cmake --install "$(dirname "$extscrub")" --prefix "$work/usr" >"$work/why" 2>&1 || { cat "$work/why" >&2; fail "cmake --install"; conclude; }
share=$work/usr/share
[ -e "$share/bash-completion/completions/extscrub" ] || skip "there are no completions: the program was built with sanitizers, or without Python 3"
export PATH=$work/usr/sbin:$PATH HOME=$work
commands=$(extscrub --help | sed -n '/^Commands:/,$s/^  \([a-z]*\) .*/\1/p')
[ "$(wc -w <<<"$commands")" -ge 5 ] || fail "--help lists the commands: $commands"
touch "$work/one.img" "$work/two words.img"

help_of() { if [ "$1" = extscrub ]; then extscrub --help; else extscrub "$1" --help; fi; }
# The options at the beginning of the help's lines, and the words each may have.
options_of() { help_of "$1" | sed -En 's/^  (-[^ ]+) .*/\1/p' | tr , '\n' | sort; }
choices_of() { help_of "$1" | sed -En 's/^  [^ ]*(--[a-z-]+) ([a-z]+(\|[a-z]+)+) .*/\1 \2/p'; }

# same SHELL WHAT WANTED GOT
same() {
  [ "$3" = "$4" ] && return
  fail "$1, $2: other completions (< is wanted)"
  diff <(echo "$3") <(echo "$4") >&2 || :
}

# check_shell SHELL: by a function SHELL_offers WORD..., which prints what the last word may become, sorted
check_shell() {
  local shell=$1 command option words offer=${1}_offers
  same "$shell" "commands" "$(sort <<<"$commands")" "$($offer '')"
  same "$shell" "extscrub" "$(options_of extscrub)" "$($offer -)"
  for command in $commands; do
    same "$shell" "$command" "$(options_of "$command")" "$($offer "$command" -)"
    while read -r option words; do
      same "$shell" "$command $option" "$(tr '|' '\n' <<<"$words" | sort)" "$($offer "$command" "$option" '')"
    done < <(choices_of "$command")
  done
  same "$shell" "codes" "$(extscrub checks | sed -n '2,$s/ .*//p' | grep '^inode-' | sort)" "$($offer explain inode-)"
  same "$shell" "files" "$(printf '%s\n' one.img 'two words.img')" "$(cd "$work"; $offer audit '' | sed 's/\\//g' | grep img)"
  same "$shell" "files of an option" one.img "$(cd "$work"; $offer audit --output one)"
  echo "$shell: done"
}

# shellcheck disable=SC2016  # for the inner shell
bash_offers() {
  bash --norc -c '. "$1"; shift; COMP_WORDS=(extscrub "$@"); COMP_CWORD=$#; _extscrub; printf "%s\n" "${COMPREPLY[@]}"' \
    bash "$share/bash-completion/completions/extscrub" "$@" | sort
}
check_shell bash
# At the equals sign bash begins a new word.
same bash "--format=" "$(printf '%s\n' json junit)" "$(bash_offers audit --format = j)"
same bash "--format=" "$(printf '%s\n' json junit text)" "$(bash_offers audit --format =)"

if command -v fish >/dev/null; then
  fish_offers() { # complete -C takes a line, and prints what is offered with a description behind a tab
    local line
    line=$(printf '%q ' extscrub "${@:1:$#-1}")${*: -1}
    { fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$share/fish/vendor_completions.d/extscrub.fish" "$line"
      # Short options alone are offered for "-", and long ones for "--".
      [ "${*: -1}" != - ] || fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$share/fish/vendor_completions.d/extscrub.fish" "$line-"
    } | cut -f1 | sort -u
  }
  check_shell fish
else
  echo "no fish: its completions are not tried"
fi

if command -v zsh >/dev/null && command -v python3 >/dev/null; then
  mkdir "$work/zsh"
  coproc { cd "$work" && exec "$source/tests/support/zsh_offers.py" "$share/zsh/site-functions" "$work/zsh"; }
  exec 7<&"${COPROC[0]}" 8>&"${COPROC[1]}" # those of a coprocess are closed in a $()
  zsh_offers() {
    local offer
    printf '%q ' extscrub "${@:1:$#-1}" >&8
    printf '%s\n' "${*: -1}" >&8
    while IFS= read -r offer <&7 && [ -n "$offer" ]; do printf '%s\n' "$offer"; done
  }
  check_shell zsh
else
  echo "no zsh: its completions are not tried"
fi
conclude
