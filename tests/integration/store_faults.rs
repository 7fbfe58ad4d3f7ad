//! What the log does when things go wrong: lost appends, full disks, crashes, damage, two processes.
