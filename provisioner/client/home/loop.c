#include "client/home/loop.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define LOOP_MAJOR   7
#define ATTACH_TRIES 64

static bool attached_to(int fd, const struct stat *image)
{
        struct loop_info64 info;
        return ioctl(fd, LOOP_GET_STATUS64, &info) == 0 && info.lo_device == image->st_dev &&
               info.lo_inode == image->st_ino;
}

int loop_find(const char *image, char ret_path[LOOP_PATH_SIZE], int *ret_fd, struct err **err)
{
        struct stat st;
        if (stat(image, &st) < 0)
                return err_set_errno(err, errno, "cannot look at %s", image);
        DIR *dir = opendir("/sys/block");
        if (!dir)
                return err_set_errno(err, errno, "cannot list block devices");
        int r = -ERR_NOT_FOUND;
        for (struct dirent *entry; r != 0 && (entry = readdir(dir));) {
                if (!str_starts(entry->d_name, "loop") || !isdigit((unsigned char)entry->d_name[4]) ||
                        strlen(entry->d_name) > 16)
                        continue;
                CLEANUP_FREE char *mark = str_format("/sys/block/%s/loop", entry->d_name); /* there while attached */
                if (!file_exists(mark))
                        continue;
                CLEANUP_FREE char *path = str_format("/dev/%s", entry->d_name);
                CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
                if (fd < 0 || !attached_to(fd, &st))
                        continue;
                snprintf(ret_path, LOOP_PATH_SIZE, "%s", path);
                *ret_fd = file_take(&fd);
                r = 0;
        }
        closedir(dir);
        return r < 0 ? err_set(err, ERR_NOT_FOUND, "%s is attached to no loop device", image) : 0;
}

/* Opens /dev/loop<number>; in containers nobody makes the node for a new device. */
static int open_device(int number, char path[LOOP_PATH_SIZE])
{
        snprintf(path, LOOP_PATH_SIZE, "/dev/loop%d", number);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) {
                mknod(path, S_IFBLK | 0600, makedev(LOOP_MAJOR, (unsigned)number));
                fd = open(path, O_RDWR | O_CLOEXEC);
        }
        return fd;
}

/* For kernels before 5.8, which have no LOOP_CONFIGURE. */
static int configure_old(int device, int image)
{
        struct loop_info64 info = {.lo_flags = LO_FLAGS_AUTOCLEAR};
        if (ioctl(device, LOOP_SET_FD, image) < 0)
                return -1;
        if (ioctl(device, LOOP_SET_STATUS64, &info) == 0)
                return 0;
        int number = errno;
        ioctl(device, LOOP_CLR_FD, 0);
        errno = number;
        return -1;
}

static int configure(int device, int image)
{
        struct loop_config config = {.fd = (unsigned)image, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
        if (ioctl(device, LOOP_CONFIGURE, &config) == 0)
                return 0;
        return errno == EINVAL || errno == ENOTTY ? configure_old(device, image) : -1;
}

int loop_attach(const char *image, char ret_path[LOOP_PATH_SIZE], int *ret_fd, struct err **err)
{
        /* Still attached: a sandbox that runs on keeps its own mount of it. The same device gives the same file system.
         */
        CLEANUP_ERR struct err *none = NULL;
        int r = loop_find(image, ret_path, ret_fd, &none);
        if (r != -ERR_NOT_FOUND) {
                if (r < 0 && err)
                        *err = STEAL(none);
                return r;
        }
        CLEANUP_CLOSE int file = open(image, O_RDWR | O_CLOEXEC);
        if (file < 0)
                return err_set_errno(err, errno, "cannot open %s", image);
        CLEANUP_CLOSE int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
        if (control < 0)
                return err_set_errno(err, errno, "no loop devices here: cannot open /dev/loop-control");
        struct clock *clock = clock_system();
        for (int try = 0; try < ATTACH_TRIES; try++) {
                char path[LOOP_PATH_SIZE];
                int number = ioctl(control, LOOP_CTL_GET_FREE);
                if (number < 0)
                        return err_set_errno(err, errno, "no free loop device");
                CLEANUP_CLOSE int device = open_device(number, path);
                if (device < 0)
                        return err_set_errno(err, errno, "cannot open %s", path);
                if (configure(device, file) == 0) {
                        snprintf(ret_path, LOOP_PATH_SIZE, "%s", path);
                        *ret_fd = file_take(&device);
                        return 0;
                }
                if (errno != EBUSY) /* else somebody was faster */
                        return err_set_errno(err, errno, "cannot attach %s to %s", image, path);
                clock->sleep_ms(clock, 5, NULL);
        }
        return err_set(err, ERR_BUSY, "no free loop device for %s", image);
}

int loop_grown(int fd, struct err **err)
{
        return ioctl(fd, LOOP_SET_CAPACITY, 0) < 0
                       ? err_set_errno(err, errno, "cannot tell the loop device its new size")
                       : 0;
}
