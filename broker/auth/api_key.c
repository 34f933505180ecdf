/* api_key.c - X-API-Key: a file of keys, and whose they are. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"

#include "auth/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_MIN_BYTES 16
#define KEY_MAX_BYTES 256

struct api_key {
    struct list node;
    char *key;
    char *user;
    char *site; /* NULL = any */
};

struct api_keys {
    struct list keys;
};

void api_keys_free(struct api_keys *keys)
{
    if (keys == NULL)
        return;
    LIST_FOR_EACH(node, next, &keys->keys)
    {
        struct api_key *key = LIST_ENTRY(node, struct api_key, node);
        explicit_bzero(key->key, strlen(key->key));
        free(key->key);
        free(key->user);
        free(key->site);
        free(key);
    }
    free(keys);
}

/* One word; empty at the end of the line. */
static struct slice next_word(struct slice *line)
{
    size_t start = strspn(line->ptr, " \t\r\n");
    size_t len = strcspn(line->ptr + start, " \t\r\n");
    struct slice word = slice_make(line->ptr + start, len);

    line->ptr += start + len;
    return word;
}

static bool take_line(struct api_keys *keys, const char *text)
{
    struct slice line = slice_of(text);
    struct slice key = next_word(&line);
    struct slice user = next_word(&line);
    struct slice site = next_word(&line);
    struct api_key *made;

    if (key.len == 0 || key.ptr[0] == '#')
        return true;
    if (key.len < KEY_MIN_BYTES || key.len > KEY_MAX_BYTES || user.len == 0 ||
        next_word(&line).len > 0)
        return false;
    made = mem_new(sizeof(*made));
    made->key = mem_text(key);
    made->user = mem_text(user);
    made->site = site.len == 0 ? NULL : mem_text(site);
    list_push_back(&keys->keys, &made->node);
    return true;
}

struct api_keys *api_keys_load(const char *path, struct buf *error)
{
    struct api_keys *keys = mem_new(sizeof(*keys));
    char line[KEY_MAX_BYTES * 4];
    unsigned number = 0;
    FILE *file = fopen(path, "re");

    list_init(&keys->keys);
    if (file == NULL) {
        (void)buf_printf(error, "--api-keys-file %s cannot be read: %s", path,
                         strerror(errno));
        api_keys_free(keys);
        return NULL;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        number++;
        if (take_line(keys, line))
            continue;
        (void)buf_printf(
            error,
            "--api-keys-file %s, line %u: KEY USER [SITE], the key of %d to "
            "%d characters",
            path, number, KEY_MIN_BYTES, KEY_MAX_BYTES);
        api_keys_free(keys);
        keys = NULL;
        break;
    }
    explicit_bzero(line, sizeof(line));
    (void)fclose(file);
    return keys;
}

/* In a time that depends on the lengths alone. */
static bool is_same(struct slice shown, const char *key)
{
    unsigned difference = 0;

    if (shown.len != strlen(key))
        return false;
    for (size_t i = 0; i < shown.len; i++)
        difference |= (unsigned char)shown.ptr[i] ^ (unsigned char)key[i];
    return difference == 0;
}

struct identity *api_keys_find(const struct api_keys *keys, struct slice shown)
{
    const struct api_key *found = NULL;

    LIST_FOR_EACH(node, next, &keys->keys)
    {
        const struct api_key *key = LIST_ENTRY(node, struct api_key, node);
        if (is_same(shown, key->key))
            found = key;
    }
    if (found == NULL)
        return NULL;
    return identity_of(slice_of(found->user),
                       found->site == NULL ? (struct slice){0} : slice_of(found->site));
}
