// cloud: what a provider has around a cluster, for one node: volumes (made, grown and removed as directories), addresses of
// load balancers, and network policies that are enforced.
package main

import (
	"context"
	"flag"
	"log"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const driver = "test.local/dir"

type cloud struct {
	c         kubernetes.Interface
	f         informers.SharedInformerFactory
	dir       string
	node      string
	balancers netip.Prefix
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "")
	volumes := flag.String("volumes", "/var/lib/pv", "where volumes are made")
	node := flag.String("node", "node1", "")
	balancers := flag.String("balancers", "10.97.0.0/24", "addresses of load balancers")
	pods := flag.String("pods", "10.244.0.0/24", "addresses of the node's pods; empty: no network policies")
	results := flag.String("results", "/var/lib/cni/results", "where the container network keeps which pod has which address")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	config.QPS, config.Burst = 500, 1000
	client := kubernetes.NewForConfigOrDie(config)
	factory := informers.NewSharedInformerFactory(client, 0)
	x := &cloud{c: client, f: factory, dir: *volumes, node: *node}
	if x.balancers, err = netip.ParsePrefix(*balancers); err != nil {
		log.Fatal(err)
	}
	kick := newTrigger(
		factory.Core().V1().PersistentVolumeClaims().Informer(), factory.Core().V1().PersistentVolumes().Informer(),
		factory.Core().V1().Services().Informer(), factory.Storage().V1().StorageClasses().Informer())
	var policies *enforcer
	if *pods != "" {
		if policies, err = newEnforcer(factory, *pods, *results); err != nil {
			log.Fatal(err)
		}
	}
	ctx := context.Background()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if policies != nil {
		go policies.run()
	}
	for range kick {
		if err := x.reconcile(ctx); err != nil {
			if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				log.Print(err)
			}
			time.AfterFunc(200*time.Millisecond, kick.pull)
		}
	}
}

// A trigger is pulled by every change of the objects it watches; many pulls at once are one.
type trigger chan struct{}

func newTrigger(watched ...cache.SharedIndexInformer) trigger {
	t := make(trigger, 1)
	for _, i := range watched {
		i.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { t.pull() }, UpdateFunc: func(any, any) { t.pull() }, DeleteFunc: func(any) { t.pull() }})
	}
	return t
}

func (t trigger) pull() {
	select {
	case t <- struct{}{}:
	default:
	}
}

// reconcile looks at everything; what has to be done is done sixteen at a time.
func (x *cloud) reconcile(ctx context.Context) (last error) {
	var busy sync.WaitGroup
	var lock sync.Mutex
	places := make(chan struct{}, 16)
	start := func(work func() error) {
		places <- struct{}{}
		busy.Add(1)
		go func() {
			defer func() { <-places; busy.Done() }()
			if err := work(); err != nil {
				lock.Lock()
				last = err
				lock.Unlock()
			}
		}()
	}
	pvcs, _ := x.f.Core().V1().PersistentVolumeClaims().Lister().List(labels.Everything())
	for _, p := range pvcs {
		if p.Spec.StorageClassName == nil {
			continue
		}
		sc, err := x.f.Storage().V1().StorageClasses().Lister().Get(*p.Spec.StorageClassName)
		if err != nil || sc.Provisioner != driver {
			continue
		}
		if p.Spec.VolumeName == "" {
			wait := sc.VolumeBindingMode != nil && *sc.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
			if !wait || p.Annotations["volume.kubernetes.io/selected-node"] != "" {
				start(func() error { return x.provision(ctx, p, sc) })
			}
		} else if p.Status.Phase == corev1.ClaimBound {
			start(func() error { return x.expand(ctx, p) })
		}
	}
	pvs, _ := x.f.Core().V1().PersistentVolumes().Lister().List(labels.Everything())
	for _, v := range pvs {
		if v.Annotations["pv.kubernetes.io/provisioned-by"] == driver && v.Status.Phase == corev1.VolumeReleased &&
			v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete && v.DeletionTimestamp == nil {
			start(func() error {
				if err := os.RemoveAll(v.Spec.Local.Path); err != nil {
					return err
				}
				return x.c.CoreV1().PersistentVolumes().Delete(ctx, v.Name, metav1.DeleteOptions{})
			})
		}
	}
	start(func() error { return x.balance(ctx) })
	busy.Wait()
	return
}

func (x *cloud) provision(ctx context.Context, p *corev1.PersistentVolumeClaim, sc *storagev1.StorageClass) error {
	name := "pvc-" + string(p.UID)
	if _, err := x.f.Core().V1().PersistentVolumes().Lister().Get(name); err == nil {
		return nil
	}
	path := filepath.Join(x.dir, name)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	os.Chmod(path, 0o777)
	_, err := x.c.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": driver}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: p.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:                   p.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: *sc.ReclaimPolicy,
			StorageClassName:              sc.Name,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			ClaimRef: &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1",
				Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{x.node}}}}}}},
		}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (x *cloud) expand(ctx context.Context, p *corev1.PersistentVolumeClaim) error {
	want, have := p.Spec.Resources.Requests[corev1.ResourceStorage], p.Status.Capacity[corev1.ResourceStorage]
	if want.Cmp(have) <= 0 {
		return nil
	}
	v, err := x.f.Core().V1().PersistentVolumes().Lister().Get(p.Spec.VolumeName)
	if err != nil || v.Annotations["pv.kubernetes.io/provisioned-by"] != driver {
		return err
	}
	if c := v.Spec.Capacity[corev1.ResourceStorage]; want.Cmp(c) > 0 {
		v = v.DeepCopy()
		v.Spec.Capacity[corev1.ResourceStorage] = want
		if _, err := x.c.CoreV1().PersistentVolumes().Update(ctx, v, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	p = p.DeepCopy()
	p.Status.Capacity[corev1.ResourceStorage] = want
	p.Status.Conditions = nil
	_, err = x.c.CoreV1().PersistentVolumeClaims(p.Namespace).UpdateStatus(ctx, p, metav1.UpdateOptions{})
	return err
}

func (x *cloud) balance(ctx context.Context) (last error) {
	svcs, _ := x.f.Core().V1().Services().Lister().List(labels.Everything())
	used := map[string]bool{}
	for _, s := range svcs {
		for _, i := range s.Status.LoadBalancer.Ingress {
			used[i.IP] = true
		}
	}
	for _, s := range svcs {
		if s.Spec.Type != corev1.ServiceTypeLoadBalancer || len(s.Status.LoadBalancer.Ingress) > 0 {
			continue
		}
		for a := x.balancers.Addr().Next(); x.balancers.Contains(a); a = a.Next() {
			ip := a.String()
			if used[ip] {
				continue
			}
			used[ip] = true
			s = s.DeepCopy()
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip}}
			if _, err := x.c.CoreV1().Services(s.Namespace).UpdateStatus(ctx, s, metav1.UpdateOptions{}); err != nil {
				last = err
			}
			break
		}
	}
	return
}
