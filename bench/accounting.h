/* CPU seconds and resident memory of server processes, from /proc, for zkload.c. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int pids[64], npids;

static int read_stat(int pid, int *parent, double *cpu_s) {
    char path[64], line[2048]; unsigned long u, s; long cu, cs;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r"); if (!f) return -1;
    char *p = fgets(line, sizeof line, f); fclose(f);
    if (!p || !(p = strrchr(line, ')'))) return -1;
    if (sscanf(p + 2, "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld",
               parent, &u, &s, &cu, &cs) != 5) return -1;
    *cpu_s = (double)(u + s + cu + cs) / sysconf(_SC_CLK_TCK); return 0;
}
static double rss_of(int pid) {
    char path[64], line[256]; double kb = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "r"); if (!f) return 0;
    while (fgets(line, sizeof line, f)) if (sscanf(line, "VmRSS: %lf", &kb) == 1) break;
    fclose(f); return kb / 1024;
}
/* CPU seconds (with those of children that were waited for) and memory of the processes
 * named with -p and of their living descendants: a forked snapshot writer counts. */
static double servers_cpu(double *rss_mb) {
    double cpu_s = 0, one; *rss_mb = 0; int parent;
    if (!npids) return 0;
    DIR *proc = opendir("/proc"); struct dirent *d; if (!proc) return 0;
    while ((d = readdir(proc))) {
        int pid = atoi(d->d_name), ours = 0; if (pid <= 0) continue;
        for (int up = pid; up > 1 && !ours && read_stat(up, &parent, &one) == 0; up = parent)
            for (int i = 0; i < npids; i++) ours |= up == pids[i];
        if (ours && read_stat(pid, &parent, &one) == 0) { cpu_s += one; *rss_mb += rss_of(pid); }
    }
    closedir(proc); return cpu_s;
}
static double own_cpu(void) {
    struct rusage r; getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}
