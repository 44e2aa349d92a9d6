package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/informers"
)

// The enforcer turns network policies into one nftables table of the node's network namespace, replaced as a whole by every
// change. Packets come by after kube-proxy has put a pod's address in the place of a service's, and before anything is
// masqueraded, so rules compare real ends. Two chains look at what is forwarded, one for the policies of where it comes from, then
// one for those of where it goes: an accept ends only its own chain. What the node itself sends (probes) is never looked at.
// What pods send to the node is, by its egress policies: with a provider, the API server is on another machine.
//
// A pod's address is known from the container network's own notes, before its first process runs; an address of the pods' range
// that is not known yet is closed.
type enforcer struct {
	f       informers.SharedInformerFactory
	kick    trigger
	pods    netip.Prefix
	results string
	last    string
}

func newEnforcer(f informers.SharedInformerFactory, pods, results string) (*enforcer, error) {
	prefix, err := netip.ParsePrefix(pods)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(results, 0o700); err != nil {
		return nil, err
	}
	e := &enforcer{f: f, pods: prefix, results: results, kick: newTrigger(
		f.Core().V1().Pods().Informer(), f.Core().V1().Namespaces().Informer(), f.Networking().V1().NetworkPolicies().Informer())}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := watcher.Add(results); err != nil {
		return nil, err
	}
	go func() {
		for {
			select {
			case <-watcher.Events:
				e.kick.pull()
			case err := <-watcher.Errors:
				log.Print("watching ", results, ": ", err)
			}
		}
	}()
	return e, nil
}

func (e *enforcer) run() {
	e.kick.pull()
	for range e.kick {
		text := e.render()
		if text == e.last {
			continue
		}
		if err := load(text); err != nil {
			log.Print("network policies: ", err)
			time.AfterFunc(500*time.Millisecond, e.kick.pull)
			continue
		}
		e.last = text
		time.Sleep(10 * time.Millisecond)
	}
}

func load(text string) error {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		if len(out) > 2000 {
			out = out[:2000]
		}
		return fmt.Errorf("%v: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// ---- what is there

type pod struct {
	*corev1.Pod
	ip string
}

// noted reads which pods have which address: namespace/name to address.
func (e *enforcer) noted() map[string]string {
	var note struct {
		Args   [][2]string `json:"cniArgs"`
		Result struct {
			IPs []struct {
				Address string `json:"address"`
			} `json:"ips"`
		} `json:"result"`
	}
	all := map[string]string{}
	entries, _ := os.ReadDir(e.results)
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(e.results, entry.Name()))
		if err != nil || !strings.HasSuffix(entry.Name(), "-eth0") {
			continue
		}
		note.Args, note.Result.IPs = nil, nil
		if json.Unmarshal(text, &note) != nil {
			continue
		}
		args := map[string]string{}
		for _, a := range note.Args {
			args[a[0]] = a[1]
		}
		for _, ip := range note.Result.IPs {
			if p, err := netip.ParsePrefix(ip.Address); err == nil && p.Addr().Is4() {
				all[args["K8S_POD_NAMESPACE"]+"/"+args["K8S_POD_NAME"]] = p.Addr().String()
			}
		}
	}
	return all
}

func (e *enforcer) allPods() (all []pod) {
	noted := e.noted()
	pods, _ := e.f.Core().V1().Pods().Lister().List(labels.Everything())
	for _, p := range pods {
		if p.Spec.HostNetwork || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		ip := noted[p.Namespace+"/"+p.Name]
		if ip == "" {
			// Of a fake node; an address of ours that is not noted is an ended pod's, and may be another's by now.
			ip = p.Status.PodIP
			if a, err := netip.ParseAddr(ip); err != nil || !a.Is4() || e.pods.Contains(a) {
				continue
			}
		}
		all = append(all, pod{p, ip})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].ip < all[j].ip })
	return
}

func selects(selector *metav1.LabelSelector, set map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(set))
}

// ---- rules

// direction says where a policy's peers and its own pods stand in a packet.
type direction struct {
	name, peer, own string
}

var (
	ingress = direction{"ingress", "saddr", "daddr"}
	egress  = direction{"egress", "daddr", "saddr"}
)

type world struct {
	pods       []pod
	namespaces map[string]map[string]string
}

// peers gives the matches on the other end, and the pods that may be it. No peers: everybody.
func (w *world) peers(d direction, namespace string, peers []netv1.NetworkPolicyPeer) (matches []string, pods []pod) {
	if len(peers) == 0 {
		return []string{""}, w.pods
	}
	var addresses []string
	for _, peer := range peers {
		if block := peer.IPBlock; block != nil {
			if p, err := netip.ParsePrefix(block.CIDR); err != nil || !p.Addr().Is4() {
				continue
			}
			match := fmt.Sprintf("ip %s %s ", d.peer, block.CIDR)
			if len(block.Except) > 0 {
				match += fmt.Sprintf("ip %s != { %s } ", d.peer, strings.Join(block.Except, ", "))
			}
			matches = append(matches, match)
			continue
		}
		for _, p := range w.pods {
			inside := p.Namespace == namespace
			if peer.NamespaceSelector != nil {
				inside = selects(peer.NamespaceSelector, w.namespaces[p.Namespace])
			}
			if inside && (peer.PodSelector == nil || selects(peer.PodSelector, p.Labels)) {
				addresses = append(addresses, p.ip)
				pods = append(pods, p)
			}
		}
	}
	if len(addresses) > 0 {
		sort.Strings(addresses)
		matches = append(matches, fmt.Sprintf("ip %s { %s } ", d.peer, strings.Join(unique(addresses), ", ")))
	}
	return matches, pods
}

// ports gives the matches on ports. A port's name stands for another number in each pod that is gone to.
func ports(list []netv1.NetworkPolicyPort, destinations []pod) (matches []string) {
	if len(list) == 0 {
		return []string{""}
	}
	for _, port := range list {
		protocol := "tcp"
		if port.Protocol != nil {
			protocol = strings.ToLower(string(*port.Protocol))
		}
		switch {
		case port.Port == nil:
			matches = append(matches, "meta l4proto "+protocol+" ")
		case port.Port.Type == intstr.Int && port.EndPort != nil:
			matches = append(matches, fmt.Sprintf("%s dport %d-%d ", protocol, port.Port.IntVal, *port.EndPort))
		case port.Port.Type == intstr.Int:
			matches = append(matches, fmt.Sprintf("%s dport %d ", protocol, port.Port.IntVal))
		default:
			for _, p := range destinations {
				for _, container := range p.Spec.Containers {
					for _, c := range container.Ports {
						if c.Name == port.Port.StrVal && strings.EqualFold(string(c.Protocol), protocol) {
							matches = append(matches, fmt.Sprintf("ip daddr %s %s dport %d ", p.ip, protocol, c.ContainerPort))
						}
					}
				}
			}
		}
	}
	return unique(matches)
}

func (w *world) rule(out *bytes.Buffer, d direction, policy *netv1.NetworkPolicy, own []pod, peers []netv1.NetworkPolicyPeer, list []netv1.NetworkPolicyPort) {
	from, others := w.peers(d, policy.Namespace, peers)
	destinations := own
	if d == egress {
		destinations = others
	}
	for _, peer := range from {
		for _, port := range ports(list, destinations) {
			fmt.Fprintf(out, "\t\t%s%saccept\n", peer, port)
		}
	}
}

// render writes the whole table.
func (e *enforcer) render() string {
	w := &world{pods: e.allPods(), namespaces: map[string]map[string]string{}}
	namespaces, _ := e.f.Core().V1().Namespaces().Lister().List(labels.Everything())
	for _, n := range namespaces {
		w.namespaces[n.Name] = n.Labels
	}
	policies, _ := e.f.Networking().V1().NetworkPolicies().Lister().List(labels.Everything())
	sort.Slice(policies, func(i, j int) bool {
		return policies[i].Namespace+"/"+policies[i].Name < policies[j].Namespace+"/"+policies[j].Name
	})
	var chains bytes.Buffer
	applied := map[string][]string{} // direction and address to the chains of policies
	for n, policy := range policies {
		var own []pod
		for _, p := range w.pods {
			if p.Namespace == policy.Namespace && selects(&policy.Spec.PodSelector, p.Labels) {
				own = append(own, p)
			}
		}
		if len(own) == 0 {
			continue
		}
		for _, kind := range policy.Spec.PolicyTypes {
			d := ingress
			if kind == netv1.PolicyTypeEgress {
				d = egress
			}
			chain := fmt.Sprintf("%s_policy_%d", d.name, n)
			fmt.Fprintf(&chains, "\tchain %s { # %s/%s\n", chain, policy.Namespace, policy.Name)
			if d == ingress {
				for _, r := range policy.Spec.Ingress {
					w.rule(&chains, d, policy, own, r.From, r.Ports)
				}
			} else {
				for _, r := range policy.Spec.Egress {
					w.rule(&chains, d, policy, own, r.To, r.Ports)
				}
			}
			chains.WriteString("\t}\n")
			for _, p := range own {
				applied[d.name+p.ip] = append(applied[d.name+p.ip], chain)
			}
		}
	}
	var out bytes.Buffer
	out.WriteString("table ip policies\ndelete table ip policies\ntable ip policies {\n")
	out.Write(chains.Bytes())
	var known []string
	for _, p := range w.pods {
		if a, _ := netip.ParseAddr(p.ip); e.pods.Contains(a) {
			known = append(known, p.ip)
		}
	}
	known = unique(known)
	for _, d := range []direction{egress, ingress} {
		sets, elements := map[string]string{}, []string{}
		for _, ip := range known {
			list := applied[d.name+ip]
			if len(list) == 0 {
				continue
			}
			key := strings.Join(list, " ")
			if sets[key] == "" {
				sets[key] = fmt.Sprintf("%s_pods_%d", d.name, len(sets))
				fmt.Fprintf(&out, "\tchain %s {\n", sets[key])
				for _, chain := range list {
					fmt.Fprintf(&out, "\t\tjump %s\n", chain)
				}
				out.WriteString("\t\tcounter drop\n\t}\n")
			}
			elements = append(elements, ip+" : goto "+sets[key])
		}
		fmt.Fprintf(&out, "\tchain %s {\n\t\tct state established,related accept\n", d.name)
		gateway := e.pods.Addr().Next().String() // the node's end of every pod's link
		fmt.Fprintf(&out, "\t\tip %s %s ip %s != { %s } counter drop\n", d.own, e.pods, d.own, strings.Join(append([]string{gateway}, known...), ", "))
		if len(elements) > 0 {
			fmt.Fprintf(&out, "\t\tip %s vmap { %s }\n", d.own, strings.Join(elements, ", "))
		}
		out.WriteString("\t}\n")
	}
	out.WriteString("\tchain forward_egress { type filter hook forward priority 0; jump egress; }\n")
	out.WriteString("\tchain forward_ingress { type filter hook forward priority 1; jump ingress; }\n")
	out.WriteString("\tchain node { type filter hook input priority 0; jump egress; }\n}\n")
	return out.String()
}

func unique(list []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
