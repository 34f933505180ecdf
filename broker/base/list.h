/* list.h - an intrusive, circular, doubly linked list. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_LIST_H
#define THINKWIRE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/*
 *   head <-> a <-> b <-> head       an empty list's head points to itself;
 *                                   an unlinked node points to itself too
 */
struct list {
    struct list *prev;
    struct list *next;
};

#define LIST_ENTRY(node, type, member)                                                 \
    ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Walks `head`; the body may unlink `it` itself, nothing else.
 * NOLINTBEGIN(bugprone-macro-parentheses): two of the arguments are declared here. */
#define LIST_FOR_EACH(it, tmp, head)                                                   \
    for (struct list *it = (head)->next, *tmp = it->next; it != (head);                \
         it = tmp, tmp = it->next)
/* NOLINTEND(bugprone-macro-parentheses) */

static inline void list_init(struct list *node)
{
    node->prev = node;
    node->next = node;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline bool list_is_linked(const struct list *node)
{
    return node->next != node;
}

static inline void list_push_back(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_push_front(struct list *head, struct list *node)
{
    list_push_back(head->next, node);
}

/* Unlinks; harmless on an unlinked, initialised node. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Moves everything in `from` to the end of `to`; `from` is empty afterwards. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
