package dev.grpcbalance.examples;

import java.util.concurrent.CountDownLatch;

/**
 * A gRPC echo server and its client, in one program. Both take their connection settings from the environment
 * variables that grpcbalance injects, and work the same without any of them.
 */
public final class Main {
    private static final CountDownLatch ENDED = new CountDownLatch(1);

    public static void main(String[] args) {
        Env env = new Env(System.getenv());
        try {
            switch (args.length == 1 ? args[0] : "") {
                case "server" -> EchoServer.run(env);
                case "client" -> EchoClient.run(env);
                default -> {
                    System.err.println("usage: app server | app client   (settings come from environment variables)");
                    System.exit(2);
                }
            }
        } catch (Env.MalformedException e) {
            System.err.println(e.getMessage());
            fail();
        } catch (Exception e) {
            e.printStackTrace();
            fail();
        }
        ENDED.countDown();
    }

    /** Runs stop on SIGTERM, waits for the end of main and ends the process with 0; the JVM's own way is a 143. */
    static void onSigterm(Runnable stop) {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stop.run();
            try {
                ENDED.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            Runtime.getRuntime().halt(0);
        }));
    }

    private static void fail() {
        Runtime.getRuntime().halt(1); // exit would run the hook of onSigterm, which waits for the end of main
    }
}
