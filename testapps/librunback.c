/* Calls the function it is given, from below a frame of its own: what longjmp, cancellation,
 * panics and signals have to get across.
 * build: -fexceptions */
void run_back(void (*back)(void *), void *argument) {
    volatile char room[64];
    room[0] = 1;
    back(argument);
    room[0] = room[0] + 1;
}
