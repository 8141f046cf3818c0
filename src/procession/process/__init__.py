"""Processes: their life from start() to reaped.

    user's program                       zygote (one per starting process)
      Process.start()                      boot, zygote.main
        popen ── nursery ──order──────────▶  zygote_serve ──▶ spare
                    │                                            │ waits, rehearses, waits
                    └────hand over (world, process, fds)───────▶ spare.live ──▶ bootstrap.live
      reaper (native thread) ◀── pidfd ── exit

`family` says who we are, `portable` how a Process object travels, `world` what a child takes on, `lessons` what a zygote
imports, `launch` how a fresh interpreter is started. `watch` is how several things are waited for at once: in `waiting`,
`completion` and `callbacks`; `waitable` says how a class joins. `oswait` keeps our helpers out of the user's own ``os.wait()``.
"""
