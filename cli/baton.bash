# SPDX-License-Identifier: Apache-2.0
# bash completion for baton(1): baton itself knows what may come next.
_baton()
{
	local IFS=$'\n'
	COMPREPLY=($(command "${COMP_WORDS[0]}" __complete "${COMP_LINE:0:COMP_POINT}" 2>/dev/null))
}
complete -o bashdefault -o default -F _baton baton
