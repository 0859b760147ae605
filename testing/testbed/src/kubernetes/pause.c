/* What holds a pod's namespaces: waits until it is told to end. Static, so that its image needs nothing else. */
#include <signal.h>
#include <unistd.h>

static void end(int signal) { (void)signal; _exit(0); }

int main(void) {
    signal(SIGINT, end);
    signal(SIGTERM, end);
    for (;;) pause();
}
