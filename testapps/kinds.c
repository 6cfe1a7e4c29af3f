/* Reads and writes known numbers of bytes through a descriptor of every kind, also through
 * copies, and through numbers that were closed and used again. Truth: "object KIND=NAME:CALL N"
 * calls of one name on one object (`*`: of this kind, whatever its name), "moved KIND=NAME:CALL N"
 * their bytes.
 * link: -lutil
 * build: -D_GNU_SOURCE */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include "truth.h"
static char block[4096], name[256];
static long wrong;
static void expect(long result, long wanted) { wrong += result != wanted; }
static void moved(const char *kind, const char *object, const char *call, long calls, long bytes) {
    char key[512];
    snprintf(key, sizeof key, "%s=%s:%s", kind, object, call);
    truth_line("object", key, calls);
    truth_line("moved", key, bytes);
}
static const char *file(const char *directory, const char *leaf) {
    snprintf(name, sizeof name, "%s/%s", directory, leaf);
    return name;
}
static void files(const char *directory) {
    int fd = open(file(directory, "first"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int copy = dup(fd);
    for (int i = 0; i < 10; i++) expect(write(fd, block, 1000), 1000);
    for (int i = 0; i < 5; i++) expect(write(copy, block, 10), 10);
    expect(pread(copy, block, 4000, 0), 4000);
    moved("file", name, "write", 15, 10050);
    moved("file", name, "pread64", 1, 4000);
    /* The copy stays what it was when the number it was made of becomes another file. */
    int old = fd;
    close(fd);
    fd = open(file(directory, "second"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    expect(fd, old);
    for (int i = 0; i < 7; i++) expect(write(fd, block, 100), 100);
    moved("file", name, "write", 7, 700);
    for (int i = 0; i < 3; i++) expect(write(copy, block, 10), 10);
    moved("file", file(directory, "first"), "write", 3, 30);
    /* A number taken over by dup2. */
    expect(dup2(copy, fd), fd);
    for (int i = 0; i < 2; i++) expect(write(fd, block, 50), 50);
    moved("file", name, "write", 2, 100);
    close(fd), close(copy);
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 4; i++) expect(fsync(fd), 0);
    moved("directory", directory, "fsync", 4, 0);
    close(fd);
}
static void pairs(void) {
    int ends[2];
    expect(pipe2(ends, O_CLOEXEC), 0);
    for (int i = 0; i < 20; i++) {
        expect(write(ends[1], block, 30), 30);
        expect(read(ends[0], block, 30), 30);
    }
    /* Standard output may be a pipe as well. */
    struct stat status;
    char pipe[64];
    expect(fstat(ends[0], &status), 0);
    snprintf(pipe, sizeof pipe, "pipe:[%lu]", (unsigned long)status.st_ino);
    moved("pipe", pipe, "write", 20, 600), moved("pipe", pipe, "read", 20, 600);
    close(ends[0]), close(ends[1]);
    expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    for (int i = 0; i < 11; i++) {
        expect(write(ends[0], block, 7), 7);
        expect(recv(ends[1], block, 7, 0), 7);
    }
    moved("socket", "unix_pair", "write", 11, 77), moved("socket", "unix_pair", "recvfrom", 11, 77);
    close(ends[0]), close(ends[1]);
}
static void network(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(bind(listener, (struct sockaddr *)&address, size), 0);
    expect(listen(listener, 1), 0);
    expect(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(connect(client, (struct sockaddr *)&address, size), 0);
    struct sockaddr_in from;
    int server = accept(listener, (struct sockaddr *)&from, &size);
    for (int i = 0; i < 9; i++) {
        expect(send(client, block, 100, 0), 100);
        expect(read(server, block, 100), 100);
    }
    char peer[64];
    snprintf(peer, sizeof peer, "tcp_127.0.0.1:%d", ntohs(address.sin_port));
    moved("socket", peer, "sendto", 9, 900);
    snprintf(peer, sizeof peer, "tcp_127.0.0.1:%d", ntohs(from.sin_port));
    moved("socket", peer, "read", 9, 900);
    close(client), close(server), close(listener);
}
static void counters(void) {
    int event = eventfd(0, EFD_CLOEXEC), poller = epoll_create1(EPOLL_CLOEXEC);
    uint64_t one = 1;
    struct epoll_event wanted = {.events = EPOLLIN}, got;
    expect(epoll_ctl(poller, EPOLL_CTL_ADD, event, &wanted), 0);
    for (int i = 0; i < 6; i++) {
        expect(write(event, &one, 8), 8);
        expect(epoll_wait(poller, &got, 1, -1), 1);
        expect(read(event, &one, 8), 8);
    }
    moved("eventfd", "*", "write", 6, 48), moved("eventfd", "*", "read", 6, 48);
    moved("epoll", "*", "epoll_wait", 6, 0);
    close(event), close(poller);
}
static void terminal(void) {
    int master, slave;
    expect(openpty(&master, &slave, 0, 0, 0), 0);
    struct termios raw;
    expect(tcgetattr(slave, &raw), 0);
    cfmakeraw(&raw);
    expect(tcsetattr(slave, TCSANOW, &raw), 0);
    for (int i = 0; i < 8; i++) {
        expect(write(slave, block, 3), 3);
        expect(read(master, block, 3), 3);
    }
    moved("tty", ttyname(slave), "write", 8, 24);
    close(master), close(slave);
}
int main(void) {
    char directory[] = "/tmp/kinds-XXXXXX";
    if (!mkdtemp(directory)) return 2;
    files(directory);
    unlink(file(directory, "first")), unlink(file(directory, "second")), rmdir(directory);
    pairs();
    network();
    counters();
    terminal();
    printf("wrong %ld\n", wrong);
    return wrong != 0;
}
