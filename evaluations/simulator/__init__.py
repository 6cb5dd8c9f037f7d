"""Vendors over real HTTP on loopback, for the demo and the tests. No Django in this room.

Public surface: ``config.load_config``, ``server.run``, ``server.serve``, ``server.build_app``,
``server.SimulatedVendors``.
"""
