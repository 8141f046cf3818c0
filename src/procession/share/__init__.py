"""Data between processes: queues, connections, values, arrays, named memory, dictionaries and lists, managers."""
