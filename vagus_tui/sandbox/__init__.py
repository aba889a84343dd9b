"""An embedded PostgreSQL that looks like a Supabase project with VAGUS workout v1 in it."""

from vagus_tui.sandbox.binaries import SandboxError
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.sample_data import fill_v1
from vagus_tui.sandbox.sandbox import Sandbox, start_sandbox
from vagus_tui.sandbox.server import EmbeddedServer
from vagus_tui.sandbox.stand_in import build_stand_in, create_v1

__all__ = [
    "EmbeddedServer",
    "Sandbox",
    "SandboxError",
    "SandboxOptions",
    "build_stand_in",
    "create_v1",
    "fill_v1",
    "start_sandbox",
]
