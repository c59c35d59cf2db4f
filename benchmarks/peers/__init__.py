"""The peers: programs that let others' servers fan out as wellhead does, and what brings these here."""
