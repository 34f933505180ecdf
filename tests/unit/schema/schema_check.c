/* schema_check.c - reads JSON lines, prints "ok" or the fault and its field per line. */
/* SPDX-License-Identifier: MIT */
#include "schema/event.h"

#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    while ((len = getline(&line, &cap, stdin)) >= 0) {
        struct event event;
        const char *field = NULL;
        if (len > 0 && line[len - 1] == '\n')
            len--;
        enum event_fault fault =
            event_check(slice_make(line, (size_t)len), &event, &field);
        if (fault == EVENT_OK)
            printf("ok\n");
        else
            printf("%s field=%s\n", event_fault_text(fault), field ? field : "-");
    }
    free(line);
    return 0;
}
