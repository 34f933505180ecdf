/* static_user.c - a program outside of this repository that links the archive. */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <thinkwire.h>

/* Names that the library uses inside, too: an archive that showed its own would clash. */
int buf_init(void);
int link_new(void);
int buf_init(void)
{
    return 1;
}
int link_new(void)
{
    return 2;
}

int main(void)
{
    /* Nobody listens there; connecting and leaving must work all the same. */
    struct thinkwire *tw = thinkwire_connect("redis://127.0.0.1:1", NULL, NULL, 0);
    struct thinkwire_run *run = thinkwire_open(tw, NULL, "t");
    if (thinkwire_text(run, "x", 1) != THINKWIRE_OK)
        return 1;
    if (thinkwire_disconnect(tw, 10) != THINKWIRE_TIMEOUT)
        return 1;
    printf("libthinkwire %s, %d\n", thinkwire_version(), buf_init() + link_new());
    return 0;
}
