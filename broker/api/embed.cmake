# SPDX-License-Identifier: MIT
# embed.cmake - writes the Socket.IO client bundle as C.
#   cmake -DOUT=x.c -DDIR=folder -DFILES=a.js,b.js -P embed.cmake
# The version is what the head of the first file says. Escaped strings, not lists of numbers:
# those take compilers a hundred times as long.
string(REPLACE "," ";" FILES "${FILES}")
list(GET FILES 0 first)
file(READ ${DIR}/${first} head LIMIT 200)
if(NOT head MATCHES "Socket\\.IO v([0-9]+\\.[0-9]+\\.[0-9]+)")
    message(FATAL_ERROR "${DIR}/${first} does not begin with its version")
endif()

string(CONCAT code "/* Made by broker/api/embed.cmake. */\n#include \"api/bundle.h\"\n\n"
    "const char bundle_version[] = \"${CMAKE_MATCH_1}\";\n"
    "const struct bundle_file bundle_files[] = {\n")
foreach(file IN LISTS FILES)
    file(READ ${DIR}/${file} hex HEX)
    file(SIZE ${DIR}/${file} size)
    string(REGEX REPLACE "(..)" "\\\\x\\1" bytes "${hex}")
    string(APPEND code "    {\"${file}\", \"${bytes}\", ${size}},\n")
endforeach()
string(APPEND code "    {0},\n};\n")
file(WRITE ${OUT} "${code}")
