"""`make bench-xds`: how soon the look-aside balancer's clients know of a change, and use it."""
