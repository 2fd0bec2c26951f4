// Command coredns is CoreDNS reduced to what cluster DNS needs, plus what tests of DNS behaviour ask for.
// It must hold no plugin that reaches out of the cluster: there is no "forward" on purpose.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/file"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
	_ "github.com/coredns/coredns/plugin/template"
)

// chain is the order in which a query passes the plugins: answers of `template` come before the cluster's own.
var chain = []string{"bind", "reload", "ready", "errors", "log", "cache", "loadbalance", "template", "kubernetes", "file"}

func main() {
	dnsserver.Directives = chain
	coremain.Run()
}
