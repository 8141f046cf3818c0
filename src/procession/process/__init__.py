"""Processes: their life from start() to reaped.

    user's program                       zygote (one per starting process)
      Process.start()                      zygote.main
        popen ── nursery ──order──────────▶  clone_sibling ──▶ spare
                    │                                            │ rehearses, waits
                    └────hand over (world, target, fds)────────▶ spare.live ──▶ Process._bootstrap
      reaper (native thread) ◀── pidfd ── exit

`family` says who we are, `world` what a child takes on, `launch` how a fresh interpreter is started, `waiting` how to wait
for several, `oswait` keeps our helpers out of the user's own ``os.wait()``.
"""
