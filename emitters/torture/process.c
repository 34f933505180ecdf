/* process.c - programs that are started, paused and killed. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/process.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void sleep_ms(unsigned ms)
{
    struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

/* ---- starting ---- */

/* In the child: ends with its parent, holds none of its sockets, and Ctrl-C is not meant for
 * it: the parent ends it in its own time. */
static void leave_parent(pid_t parent)
{
    sigset_t none;

    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    close_range(STDERR_FILENO + 1, ~0U, 0);
}

void process_start(struct process *process, const char *const argv[])
{
    pid_t parent = getpid();

    process->is_paused = false;
    process->pid = fork();
    if (process->pid < 0)
        abort();
    if (process->pid > 0)
        return;
    int log = open(process->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int none = open("/dev/null", O_RDONLY);
    if (log < 0 || none < 0 || dup2(none, STDIN_FILENO) < 0 ||
        dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(126);
    leave_parent(parent);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

pid_t process_fork(int (*run)(void *ctx), void *ctx)
{
    pid_t parent = getpid();
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid < 0)
        abort();
    if (pid > 0)
        return pid;
    leave_parent(parent);
    _exit(run(ctx));
}

/* ---- ending ---- */

void process_signal(struct process *process, int signum)
{
    if (process->pid <= 0)
        return;
    kill(process->pid, signum);
    if (signum == SIGSTOP)
        process->is_paused = true;
    else if (signum == SIGCONT)
        process->is_paused = false;
}

bool process_wait(struct process *process, unsigned timeout_ms)
{
    uint64_t deadline = clock_mono_ms() + timeout_ms;

    while (process->pid > 0) {
        pid_t done = waitpid(process->pid, &process->status, WNOHANG);
        if (done == process->pid || (done < 0 && errno == ECHILD))
            process->pid = 0;
        else if (clock_mono_ms() >= deadline)
            return false;
        else
            sleep_ms(2);
    }
    process->is_paused = false;
    return true;
}

void process_kill(struct process *process)
{
    process_signal(process, SIGKILL);
    (void)process_wait(process, 10000);
}

/* ---- measuring ---- */

static uint64_t rss_of(pid_t pid)
{
    char path[64];
    char line[256];
    uint64_t kilobytes = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0)
            kilobytes = strtoull(line + 6, NULL, 10);
    }
    fclose(file);
    return kilobytes * 1024;
}

bool process_measure(pid_t pid, uint64_t *rss_bytes, unsigned *descriptors)
{
    char path[64];
    DIR *folder;

    *descriptors = 0;
    *rss_bytes = rss_of(pid);
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    folder = opendir(path);
    if (folder == NULL || *rss_bytes == 0) {
        if (folder != NULL)
            closedir(folder);
        return false;
    }
    while (readdir(folder) != NULL)
        (*descriptors)++;
    closedir(folder);
    *descriptors -= 2; /* . and .. */
    return true;
}

/* ---- finding ---- */

bool program_find(const char *name, char path[PATH_MAX])
{
    const char *at = getenv("PATH");

    while (at != NULL && *at != '\0') {
        size_t len = strcspn(at, ":");
        if (len > 0 &&
            snprintf(path, PATH_MAX, "%.*s/%s", (int)len, at, name) < PATH_MAX &&
            access(path, X_OK) == 0)
            return true;
        at += len + (at[len] == ':');
    }
    return false;
}

bool program_beside(const char *name, char path[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    if (len <= 0)
        return false;
    self[len] = '\0';
    slash = strrchr(self, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return snprintf(path, PATH_MAX, "%s/%s", self, name) < PATH_MAX &&
           access(path, X_OK) == 0;
}

/* ---- ports ---- */

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int new_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int yes = 1;

    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    return fd;
}

int port_listen(uint16_t *port)
{
    struct sockaddr_in address = loopback(*port);
    socklen_t size = sizeof(address);
    int fd = new_socket();

    if (fd < 0)
        return -1;
    if (bind(fd, (const struct sockaddr *)&address, size) != 0 ||
        listen(fd, 512) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        close(fd);
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

uint16_t port_free(void)
{
    uint16_t port = 0;
    int fd = port_listen(&port);

    if (fd < 0)
        return 0;
    close(fd);
    return port;
}

int port_connect(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int fd = new_socket();

    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ||
        errno == EINPROGRESS)
        return fd;
    close(fd);
    return -1;
}
