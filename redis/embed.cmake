# SPDX-License-Identifier: MIT
# embed.cmake - writes the Lua scripts as C.
#   cmake -DOUT=x.c -DDIR=redis -DSCRIPTS=open,publish -DALONE=unindex -P embed.cmake
# Each of SCRIPTS is common.lua and its own file, one after the other; ALONE are without
# common.lua. EVALSHA names a script by the SHA-1 of the whole.
# -DBREAK=name turns the one line marked `-- break:name` off: see THINKWIRE_BREAK.
set(code "/* Made by redis/embed.cmake from the Lua scripts beside it. */\n#include \"redis/scripts.h\"\n")

function(embed name)
    set(hex "")
    set(text "")
    foreach(file IN LISTS ARGN)
        file(READ ${DIR}/${file}.lua part)
        if(BREAK)
            string(REGEX REPLACE "if [^\n]* then -- break:${BREAK}\n" "if false then\n" part "${part}")
        endif()
        string(APPEND text "${part}")
    endforeach()
    string(HEX "${text}" hex)
    string(SHA1 sha "${text}")
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
    string(APPEND code "static const char ${name}_text[] = {${bytes}0};\n"
        "const struct script script_${name} = {\"${name}\", ${name}_text,\n"
        "    sizeof(${name}_text) - 1, \"${sha}\"};\n")
    set(code "${code}" PARENT_SCOPE)
endfunction()

string(REPLACE "," ";" SCRIPTS "${SCRIPTS}")
string(REPLACE "," ";" ALONE "${ALONE}")
foreach(name IN LISTS SCRIPTS)
    embed(${name} common ${name})
endforeach()
foreach(name IN LISTS ALONE)
    embed(${name} ${name})
endforeach()
file(WRITE ${OUT} "${code}")
