"""`make bench-dataplane`: what clients of four languages really do on the lab, from their own records of RPCs."""
